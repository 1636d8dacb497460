"""What all clouds share: names within limits, the cheapest machine, tags; and what most targets refuse alike."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest

from mlinfra.adapters import Instance, load_adapter
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.testing.judge import environment
from mlinfra.testing.specimens import SMALL
from mlinfra_providers.instances import Machine, cheapest
from mlinfra_providers.short_names import short_name
from mlinfra_providers.tags import as_labels

OFFERED = [
    Machine("dear", 2, 8, 0, ""),
    Machine("cheap", 2, 8, 0, ""),
    Machine("large", 32, 256, 0, ""),
    Machine("unpriced", 1, 4, 0, ""),
    Machine("graphics", 8, 32, 1, "a10g"),
]
PRICES = {"dear": Decimal(2), "cheap": Decimal(1), "large": Decimal(9), "graphics": Decimal("0.5")}


def chosen(**need: float) -> Instance | None:
    return cheapest(Compute(**need), OFFERED, lambda machine: PRICES.get(machine.name))  # type: ignore[arg-type]


def test_the_cheapest_that_fits_is_chosen() -> None:
    assert chosen() == Instance("cheap", 2, 8, 0)
    assert chosen(cpus=3) == Instance("large", 32, 256, 0)
    assert chosen(gpus=1) == Instance("graphics", 8, 32, 1)
    assert chosen(cpus=33) is None
    assert chosen(gpus=2) is None


def test_what_has_no_price_is_the_last_choice() -> None:
    assert cheapest(Compute(), OFFERED[:1] + OFFERED[3:], lambda machine: PRICES.get(machine.name)) == Instance(
        "dear", 2, 8, 0
    )
    assert cheapest(Compute(), OFFERED, lambda machine: None) == Instance("unpriced", 1, 4, 0)


def test_short_names_stay_as_they_are_read() -> None:
    assert short_name("prod", "flight-delay", limit=63) == "prod-flight-delay"
    assert short_name("prod", "flight-delay", limit=63, separator="_") == "prod_flight_delay"
    assert short_name("prod", limit=63) == "prod"


@pytest.mark.parametrize(("limit", "separator"), [(24, ""), (24, "-"), (32, "_"), (63, "-")])
def test_two_names_are_never_one(limit: int, separator: str) -> None:
    longest = "a0-" + "b" * 59
    pieces = ["x", "eu-x", "eux", f"{longest}x", f"{longest}y", "b" * 23]
    made = {
        short_name(environment, *piece, limit=limit, separator=separator)
        for environment in ("prod", "prod-eu", "prodeu")
        for piece in [(word,) for word in pieces] + list(product(pieces, ("role", "data")))
    }
    assert len(made) == 3 * (len(pieces) + 2 * len(pieces))
    assert max(map(len, made)) <= limit
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789" + separator) for name in made)
    assert not [name for name in made if separator and name.endswith(separator)]


def test_labels_are_in_googles_alphabet() -> None:
    assert as_labels({"Owner": "flights@example.com"}) == {"owner": "flights-example-com"}
    long = [as_labels({"part": "endpoints." + "b" * 60 + ending})["part"] for ending in ("c", "d")]
    assert [len(label) for label in long] == [63, 63]
    assert long[0] != long[1]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("azureml", "read rows that a model's script logged, and the serving image logs whole requests"),
        ("kubernetes", "neither Kubernetes nor KServe has a monitor of its own"),
        ("local", "this machine has no monitor of its own"),
        ("sagemaker", "takes no new customers from July 2026 on"),
    ],
)
def test_a_monitor_that_a_target_has_not_is_refused(target: str, reason: str) -> None:
    adapter, plain = load_adapter(target), SMALL[DriftMonitor]
    place = environment(adapter, {})
    [found] = adapter.refuse(replace(plain, native=True), place)  # type: ignore[call-arg]
    assert (found.path, reason in found.message) == ("drift_monitors.specimen.native", True)
    assert found.remedy == "in the environment's file: override: {drift_monitors.specimen.native: false}"
    assert list(adapter.refuse(plain, place)) == []

"""What is known of machines with accelerators, and what is not."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest

from mlinfra.prices.book import snapshot
from mlinfra_policies.accelerators import carried, is_accelerator

KNOWN: dict[str, Any] = json.loads(files("mlinfra_policies").joinpath("accelerators.json").read_text(encoding="utf-8"))
MACHINES = {
    ("aws", "EC2/EKS node", "compute"),
    ("aws", "SageMaker", "realtime-hosting"),
    ("aws", "SageMaker", "training"),
    ("aws", "SageMaker", "notebook"),
    ("azure", "Virtual Machines", "compute"),
    ("gcp", "GCE/GKE node", "compute"),
}


@pytest.mark.parametrize(
    ("machine", "count"),
    [
        ("ml.p4d.24xlarge", 8),
        ("ML.P5EN.48XLARGE", 8),
        ("g4dn.12xlarge", 4),
        ("ml.g5.16xlarge", 1),
        ("ml.trn1.2xlarge", 1),
        ("ml.inf2.24xlarge", 6),
        ("ml.m5.xlarge", 0),
        ("m7i-flex.large", 0),
        ("a2-megagpu-16g", 16),
        ("g2-standard-24", 2),
        ("ct5lp-hightpu-4t", 4),
        ("c3-standard-8-lssd", 0),
        ("Standard_ND96amsr_A100_v4", 8),
        ("standard_nc64as_t4_v3", 4),
        ("Standard_NC24s_v3", 4),
        ("Standard_DS3_v2", 0),
        ("Standard_E4-2s_v5", 0),
        ("ml.p9.48xlarge", None),
        ("Standard_NX6", None),
        ("gpu-node", None),
        ("", None),
    ],
)
def test_a_machine_carries_as_many_as_its_name_says(machine: str, count: float | None) -> None:
    assert carried(machine) == count


def test_every_machine_with_a_price_is_known() -> None:
    priced = {
        price.key.item
        for price in snapshot().prices
        if (price.key.provider, price.key.service, price.key.component) in MACHINES
        and price.key.unit == "hour"
        and "tpu-" not in price.key.item
    }
    assert len(priced) > 100
    assert sorted(item for item in priced if carried(item) is None) == []


def test_what_is_known_has_sources_and_says_each_thing_once() -> None:
    for described in KNOWN.values():
        assert described["sources"]
        assert all(source.startswith("https://") for source in described["sources"])
    patterns = [pattern for cloud in ("aws", "google", "azure") for pattern, _ in KNOWN[cloud]["carry"]]
    assert len(patterns) == len(set(patterns))
    for pattern in patterns:
        assert re.compile(pattern)


@pytest.mark.parametrize(
    ("resource", "is_one"),
    [
        ("nvidia.com/gpu", True),
        ("amd.com/gpu", True),
        ("nvidia.com/mig-1g.5gb", True),
        ("gpu.intel.com/i915", True),
        ("habana.ai/gaudi", True),
        ("google.com/tpu", True),
        ("aws.amazon.com/neuron", True),
        ("cpu", False),
        ("memory", False),
        ("vpc.amazonaws.com/efa", False),
        ("hugepages-2Mi", False),
    ],
)
def test_resources_of_all_vendors_are_known(resource: str, is_one: bool) -> None:
    assert is_accelerator(resource) is is_one

"""Plans of the reference stacks: offline and by the engine they agree; a kept one is done; named data goes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.repository import Platform

pytestmark = [pytest.mark.engine, pytest.mark.local]

ROOT = Path(__file__).parents[2]
FLIGHTS = "stacks/flight_delay/stack.py"
ENVIRONMENT = "environments/dev.yaml"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The two reference stacks, up with all that needs no release."""
    folder = tmp_path_factory.mktemp("plan") / "platform"
    shutil.copytree(ROOT / "stacks", folder / "stacks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    (folder / "environments").mkdir()
    (folder / ENVIRONMENT).write_text("target: local\nstacks: [flight_delay, diabetes_progression]\n")
    made = Platform(folder, tmp_path_factory.mktemp("plan-state"))
    yield made
    made.mlinfra("down", "dev", "--destroy-data", "--yes")


def both(platform: Platform) -> tuple[Any, Any]:
    """Return the plan as it is made offline, and as the engine previews it."""
    return platform.read("plan", "dev"), platform.read("plan", "dev", "--engine")


def changes(plan: Any) -> dict[str, Any]:
    """Return the changes of a plan by URN."""
    return {change["urn"]: change for part in plan["parts"] for change in part["changes"]}


def test_before_the_first_up_they_are_the_same(platform: Platform) -> None:
    offline, engine = both(platform)
    assert (offline["engine"], engine["engine"]) == (False, True)
    assert changes(offline) == changes(engine)
    assert {change["change"] for change in changes(offline).values()} == {"create"}


def test_a_kept_plan_is_done(platform: Platform, tmp_path: Path) -> None:
    kept = tmp_path / "plan.json"
    platform.mlinfra("plan", "dev", "--out", str(kept))
    platform.mlinfra("up", "dev", "--plan", str(kept))
    assert {change["change"] for change in changes(platform.read("plan", "dev")).values()} == {"same"}
    told = platform.mlinfra("up", "dev", "--plan", str(kept), code=3).stderr
    assert "the state: somebody ran an up" in told


def test_of_every_change_they_are_the_same_property_by_property(platform: Platform) -> None:
    with (
        platform.changed('ttl="3h"', 'ttl="6h"', FLIGHTS),
        platform.changed('every="1h"', 'every="2h"', FLIGHTS),
        platform.changed("auc() >= 0.68", "auc() >= 0.67", FLIGHTS),
        platform.changed('owner="flights@example.com"', 'owner="weather@example.com"', FLIGHTS),
        platform.changed('bake="5m"', 'bake="6m"', FLIGHTS),
    ):
        offline, engine = both(platform)
    assert changes(offline) == changes(engine)
    touched = {(change["name"], item["path"]) for change in changes(offline).values() for item in change["properties"]}
    assert {("airport-weather", "ttlSeconds"), ("flight-delay", "everySeconds"), ("flight-delay", "accept")} <= touched
    assert {change["effect"] for change in changes(offline).values()} == {"none", "in place"}
    assert {item["urn"]: item["inputs"] for item in offline["resources"]} == {
        item["urn"]: item["inputs"] for item in engine["resources"]
    }


def test_what_is_no_longer_declared_is_the_same(platform: Platform) -> None:
    text = (platform.folder / FLIGHTS).read_text()
    platform.write(FLIGHTS, text.split("stack.add(\n    DriftMonitor(")[0])
    try:
        offline, engine = both(platform)
    finally:
        platform.write(FLIGHTS, text)
    assert changes(offline) == changes(engine)
    assert [change["type"] for change in changes(offline).values() if change["change"] == "delete"] == [
        "mlinfra:local:DriftSchedule"
    ]


def test_data_goes_when_the_environment_names_it_with_a_reason(platform: Platform) -> None:
    """It is unprotected and removed; and not one thing before every loss is named."""
    platform.write(ENVIRONMENT, "target: local\nstacks: [diabetes_progression]\n")
    lost = ["feature_stores.airport-weather", "feature_stores.planes", "model_registries.flight-delay"]
    for command in (["plan", "dev"], ["plan", "dev", "--json"], ["plan", "dev", "--engine"], ["up", "dev"]):
        platform.mlinfra(*command, code=3)
    view = platform.layout().features / "airport-weather.json"
    assert view.exists()
    allowed = "".join(f"  - {{resource: {part}, reason: nobody reads it}}\n" for part in lost)
    platform.write(ENVIRONMENT, "target: local\nstacks: [diabetes_progression]\ndestroy_data:\n" + allowed[:-1])
    told = platform.mlinfra("up", "dev").stderr
    for part in lost:
        assert f"{part}: delete" in told
    assert not view.exists()
    kept = json.loads((platform.folder / ".mlinfra/state/.pulumi/stacks/mlinfra/dev.json").read_text())
    urns = [item["urn"] for item in kept["checkpoint"]["latest"]["resources"]]
    assert not [urn for urn in urns if "flight-delay" in urn or "airport-weather" in urn]
    assert {change["change"] for change in changes(platform.read("plan", "dev")).values()} == {"same"}

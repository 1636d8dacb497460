"""What a change of a declaration does, on a platform that serves, and what is refused before anything changes.

The tests go on from each other: each leaves the platform as declared.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlinfra_providers.local.features import Features
from mlinfra_providers.local.registry import Registry
from tests.end_to_end.files import STACK
from tests.end_to_end.repository import ENDPOINT, STORE, Platform

pytestmark = [pytest.mark.engine, pytest.mark.local]

FEATURES = 'Feature("temperature", "float64"), Feature("humidity", "float64")'


@pytest.fixture(scope="module")
def platform(moved: Platform) -> Platform:
    """The moved repository, up."""
    moved.pulumi("dev", "up", "--yes", "--skip-preview")
    return moved


def changes(platform: Platform, *, code: int = 0) -> dict[str, str]:
    """Return what a plan would do to which kinds of resources, where it does anything."""
    parts = platform.read("plan", "dev", code=code)["parts"]
    return {
        change["type"].rpartition(":")[2]: change["change"]
        for part in parts
        for change in part["changes"]
        if change["change"] != "same"
    }


def schedule(platform: Platform) -> dict[str, Any]:
    """Return the monitor's schedule."""
    found: dict[str, Any] = json.loads((platform.layout().monitor(ENDPOINT) / "schedule.json").read_text())
    return found


class TestNewModel:
    def test_it_takes_the_traffic_and_no_request_is_lost(self, platform: Platform) -> None:
        old, runs = platform.release(), platform.runs()
        platform.edit('"strength": 1.0', '"strength": 0.01')
        with platform.clients() as asked:
            platform.mlinfra("up", "dev")
        new = platform.release()
        assert asked.failures == []
        assert set(asked.releases) == {old.short, new.short}
        assert asked.releases[0] == old.short
        assert asked.releases[-1] == new.short
        assert new.identity.artifact != old.identity.artifact
        assert len(platform.runs()) == len(runs) + 1
        with Registry(platform.layout(), platform.store()) as registry:
            model = registry.read(ENDPOINT)
        assert model is not None
        assert [version["digest"] for version in model["versions"]] == [old.identity.artifact, new.identity.artifact]
        assert [name.split("/")[2][:12] for name in platform.programs() if name.startswith("server/")] == [new.short]
        assert schedule(platform)["release"] == new.short


class TestDeclarationOfTheEndpoint:
    def test_a_change_is_a_new_release_of_the_same_model(self, platform: Platform) -> None:
        old, runs = platform.release(), platform.runs()
        platform.edit("percent=50", "percent=60")
        assert "trained in" not in platform.mlinfra("up", "dev").stdout
        new = platform.release()
        assert new.digest != old.digest
        assert new.identity.artifact == old.identity.artifact
        assert platform.runs() == runs
        assert platform.answering() == new.short

    def test_taking_it_back_brings_the_first_release_back(self, platform: Platform) -> None:
        """Together with what changes in place: the monitor's threshold, and a column more of the feature store."""
        later, known = platform.release(), platform.store().releases("crowds")
        platform.edit("percent=60", "percent=50")
        platform.edit("js_divergence() <= 0.1", "js_divergence() <= 0.2")
        platform.edit(FEATURES, f'{FEATURES}, Feature("pressure", "float64")')
        planned, before = changes(platform), platform.resources()
        assert planned == {"DriftSchedule": "update", "FeatureView": "update"}

        platform.mlinfra("up", "dev")

        assert platform.release().digest != later.digest
        assert platform.release().identity.spec["capture"] == {"percent": 50}
        assert platform.store().releases("crowds") == known
        assert platform.answering() == platform.release().short
        assert schedule(platform)["thresholds"]["temperature"]["value"] == 0.2
        with Features(platform.layout()) as features:
            assert features.online(STORE, ["ams"]) == [{"temperature": 29.0, "humidity": 71.0, "pressure": 1019.0}]
        after = platform.resources()
        for urn in (urn for urn in before if urn.split("$")[-1].split("::")[0].rpartition(":")[2] in planned):
            assert after[urn]["id"] == before[urn]["id"]


class TestFeatureStore:
    def test_what_breaks_readers_is_refused(self, platform: Platform) -> None:
        before, programs = platform.resources(), platform.programs()
        with (
            platform.changed(', Feature("pressure", "float64")', ""),
            platform.changed('Feature("humidity", "float64")', 'Feature("humidity", "int64")'),
        ):
            for ended in (
                platform.mlinfra("plan", "dev", "--details", code=3).stdout,
                platform.mlinfra("up", "dev", code=3).stderr,
                platform.pulumi("dev", "preview", code=1).stdout,
            ):
                assert "feature 'pressure' (float64) is removed" in ended
                assert "feature 'humidity' changes from float64 to int64" in ended
        assert platform.resources() == before
        assert platform.programs() == programs
        assert changes(platform) == {}

    def test_a_column_goes_when_the_environment_names_the_store(self, platform: Platform) -> None:
        text, environment = (platform.folder / STACK).read_text(), "environments/dev.yaml"
        allowed = "releases: latest\ndestroy_data: [{resource: feature_stores.weather, reason: nobody reads it}]"
        platform.edit(', Feature("pressure", "float64")', "")
        platform.edit("releases: latest", allowed, environment)
        told = platform.mlinfra("up", "dev").stderr
        assert "feature 'pressure' (float64) is removed); allowed: nobody reads it" in told
        assert changes(platform) == {}
        platform.edit(allowed, "releases: latest", environment)
        platform.write(STACK, text)
        platform.mlinfra("up", "dev")
        assert changes(platform) == {}

    def test_a_renamed_one_keeps_its_data(self, platform: Platform) -> None:
        release, rows = platform.release(), platform.online_rows()
        platform.edit('"weather",', '"climate",\n        renamed_from="weather",')
        assert set(changes(platform).values()) <= {"update"}
        platform.mlinfra("up", "dev")
        assert changes(platform) == {}
        [view] = [item for item in platform.resources().values() if item["type"].endswith("FeatureView")]
        assert view["urn"].endswith("::climate")
        assert view["inputs"]["name"] == "weather"
        assert platform.online_rows() == rows != {}
        assert platform.release().digest == release.digest

    def test_dropping_one_is_refused(self, platform: Platform) -> None:
        before, programs = platform.resources(), platform.programs()
        text = (platform.folder / STACK).read_text()
        store = text[text.index("weather = stack.add(") : text.index("train = stack.add(")]
        with platform.changed(store, ""), platform.changed(", features=[weather]", ""):
            assert "DESTROYS DATA" in platform.mlinfra("plan", "dev", code=3).stdout
            ended = platform.mlinfra("up", "dev", code=3)
        assert "feature_stores.climate: delete FeatureView climate DESTROYS DATA" in ended.stderr
        assert "nothing was changed" in ended.stderr
        assert platform.resources() == before
        assert platform.programs() == programs

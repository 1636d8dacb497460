"""Rows of a feature store come to the emulated Azure: a file that Spark reads, and the backfill that lets it."""

from __future__ import annotations

import io
import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as arrow  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
import pytest

from mlinfra.adapters import Ingested, ResolvedPart
from mlinfra.declarations.feature_store import Entity, Feature, FeatureStore
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.training.code import code_digest
from mlinfra_providers.azureml import feature_sets
from mlinfra_providers.azureml.clients import TRIES, Azure, read_blob
from mlinfra_providers.azureml.naming import feature_store_name, group_id
from mlinfra_providers.azureml.resources.feature_set import FeaturesetVersion
from mlinfra_providers.azureml.service import AzureMLService
from tests.lab.azure.emulator import Emulator
from tests.lab.azure.server.account import ACCOUNT, GROUP, MODELS, REGION
from tests.lab.azure.server.resource_manager import SUBSCRIPTION
from tests.lab.test_azure import azure, emulator

__all__ = ["azure", "emulator"]
pytestmark = pytest.mark.local

WEATHER = FeatureStore(
    "weather",
    entity=Entity("origin", key="string"),
    event_time="observed_at",
    features=[Feature("wind", "float64"), Feature("gusts", "int64"), Feature("wet", "bool")],
    source="sources.py:weather",
)
SOURCE = """
    import pandas as pd

    def weather():
        return pd.DataFrame({{
            "origin": ["LIS", "OPO"],
            "observed_at": pd.to_datetime(["2026-01-01T00:00:00Z", "{newest}"]),
            "wind": [{wind}, 4.5], "gusts": [7, 8], "wet": [True, False], "beside": [1, 2],
        }})
"""
FIRST, NEWEST, LATER = "2026-01-01T00:00:00.000000Z", "2026-01-02T06:00:00Z", "2026-01-03T06:00:00Z"
NEVER = 3600.0


class Place:
    """A repository with a feature store, and the feature set at Azure that is made of it."""

    def __init__(self, emulator: Emulator, repository: Path) -> None:
        written = {"name": "prod", "target": "azureml", "stacks": ["crowds"], **emulator.place}
        self.environment = Environment.model_validate(written)
        self.emulator = emulator
        self.repository = repository
        self.folder = repository / "stacks" / "crowds"
        self.folder.mkdir(parents=True)
        self.says()
        self.workspace = feature_store_name(self.environment)
        self.azure = Azure(SUBSCRIPTION, GROUP, self.workspace)
        id_ = f"{group_id(self.environment)}/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        emulator.ask("PUT", id_, {"location": REGION, "properties": {}}).raise_for_status()
        emulator.settled(id_)
        self.make()

    def make(self) -> None:
        """Register the feature set as its resources do."""
        called = feature_sets.called(self.environment, WEATHER)
        version = feature_sets.version(self.environment, WEATHER)
        self.azure.put(f"featuresets/{called}", {"properties": {"description": "weather"}})
        inputs = {"subscriptionId": SUBSCRIPTION, "resourceGroupName": GROUP, "workspaceName": self.workspace}
        FeaturesetVersion(Path()).create(
            {**inputs, "name": called, "version": version, "properties": {"entities": [f"azureml:{called}:1"]}}
        )

    def remove(self) -> None:
        """Delete the feature set with its versions."""
        self.azure.delete(f"featuresets/{feature_sets.called(self.environment, WEATHER)}")

    def says(self, wind: float = 3.0, newest: str = NEWEST) -> None:
        """Let the source return these rows."""
        (self.folder / "sources.py").write_text(textwrap.dedent(SOURCE.format(wind=wind, newest=newest)))

    def fails(self) -> None:
        """Let the source raise."""
        (self.folder / "sources.py").write_text("def weather():\n    raise OSError('the station is down')\n")

    def ingest(self, store: FeatureStore = WEATHER) -> tuple[Ingested, list[str]]:
        """Bring the rows; return what is told, and the lines."""
        lines: list[str] = []
        part = ResolvedPart("crowds", "a@example.com", "crowds", code_digest(self.folder), store)
        done = AzureMLService(self.environment, self.repository).ingest(part, say=lines.append)
        return done, lines

    def file(self) -> tuple[arrow.Table, str]:
        """Return the rows as Spark finds them, and the version (ETag) of their file."""
        found = read_blob(feature_sets.rows(self.environment, WEATHER).below("rows.parquet"))
        assert found is not None
        return parquet.read_table(io.BytesIO(found[0])), found[1]

    def wind(self) -> float:
        """Return the value that tells which rows these are."""
        return float(self.file()[0]["wind"][0].as_py())

    def asked(self) -> list[dict[str, Any]]:
        """Return the backfills that were asked for."""
        found: list[dict[str, Any]] = self.emulator.ask("GET", "/lab/backfills").json()
        return found

    def jobs(self, status: str) -> list[str]:
        """Return the jobs of Spark with a status."""
        return [job["name"] for job in self.azure.list("jobs") if job["properties"]["status"] == status]

    def cancel(self, job: str) -> None:
        """End a job of Spark."""
        self.azure.post(f"jobs/{job}/cancel")

    def version(self) -> str:
        """Return the id of the version."""
        there = self.azure.get(feature_sets.path(self.environment, WEATHER))
        assert there is not None
        return str(there["id"])


@pytest.fixture
def place(emulator: Emulator, azure: Azure, tmp_path: Path) -> Place:
    """A feature set that is there, and nothing in it."""
    return Place(emulator, tmp_path)


def test_rows_of_the_source_are_where_the_feature_set_reads_them(place: Place) -> None:
    done, lines = place.ingest()
    assert (done.rows, done.written) == (2, True)
    rows, _ = place.file()
    assert {field.name: str(field.type) for field in rows.schema} == {
        "origin": "string", "observed_at": "timestamp[us, tz=UTC]", "wind": "double", "gusts": "int64", "wet": "bool",
    }  # fmt: skip
    assert rows["origin"].to_pylist() == ["LIS", "OPO"]
    assert rows["observed_at"][1].as_py() == datetime(2026, 1, 2, 6, tzinfo=UTC)
    [backfill] = place.asked()
    assert backfill["version"] == place.version()
    assert backfill["featureWindow"] == {"featureWindowStart": FIRST, "featureWindowEnd": "2026-01-02T06:00:01.000000Z"}
    assert backfill["resource"] == {"instanceType": "standard_e4s_v3"}
    assert any("Featurestore-Materialization-" in line for line in lines)
    source = feature_sets.definition(place.environment, WEATHER)["source"]
    folder = f"mlinfra/environments/prod/rows/{feature_sets.called(place.environment, WEATHER)}"
    assert source["path"] == f"abfss://{MODELS}@{ACCOUNT}.dfs.core.windows.net/{folder}"


def test_the_same_rows_are_not_written_again(place: Place) -> None:
    place.ingest()
    before = place.file()[1]
    for _ in range(2):
        assert not place.ingest()[0].written
    (place.folder / "other.py").write_text("# other code, the same rows\n")
    assert not place.ingest()[0].written
    assert place.file()[1] == before
    assert len(place.asked()) == 1


def test_other_rows_take_the_place_of_those_before(place: Place) -> None:
    place.emulator.slow(0.0)
    place.ingest()
    place.says(wind=5.0, newest="2026-01-01T12:00:00Z")
    assert place.ingest()[0].written
    assert place.wind() == 5.0
    backfill = place.asked()[-1]
    # what was brought before is done again, though the newest row is gone
    assert backfill["featureWindow"]["featureWindowEnd"] == "2026-01-02T06:00:01.000000Z"
    assert {"Complete", "Incomplete", "None"} == set(backfill["dataAvailabilityStatus"])
    assert len(place.azure.list("jobs")) == 2
    place.says(wind=5.0, newest=LATER)
    place.ingest()
    assert place.asked()[-1]["featureWindow"] == {
        "featureWindowStart": FIRST, "featureWindowEnd": "2026-01-03T06:00:01.000000Z"
    }  # fmt: skip


def test_rows_wait_for_a_job_that_may_have_read_those_before(place: Place) -> None:
    place.emulator.slow(NEVER)
    place.ingest()
    [running] = place.jobs("Running")
    place.says(wind=5.0)
    done, lines = place.ingest()
    assert done.written
    assert place.wind() == 5.0
    assert f"weather: {running} is at work in the feature store" in lines[-1]
    done, lines = place.ingest()
    assert not done.written
    assert "is at work" in lines[-1]
    assert len(place.asked()) == 1
    place.cancel(running)
    done, lines = place.ingest()
    assert not done.written
    assert len(place.asked()) == 2
    assert place.jobs("Running")[0] in lines[-1]


def test_a_job_that_nobody_here_started_is_waited_for_too(place: Place) -> None:
    place.emulator.slow(NEVER)
    window = {"featureWindowStart": "2025-01-01T00:00:00Z", "featureWindowEnd": "2027-01-01T00:00:00Z"}
    body = {"featureWindow": window, "dataAvailabilityStatus": ["None"]}
    place.azure.act(f"{feature_sets.path(place.environment, WEATHER)}/backfill", body)
    done, lines = place.ingest()
    assert done.written
    assert "another job is at work" in lines[-1]
    [running] = place.jobs("Running")
    place.cancel(running)
    assert "Spark brings the rows" in place.ingest()[1][-1]


def test_a_failed_job_is_told_once_and_started_again(place: Place) -> None:
    place.emulator.slow(0.0)
    place.emulator.fault("no-capacity")
    place.ingest()
    with pytest.raises(MlinfraError, match=r"Featurestore-Materialization-\S+, which brings .* failed") as told:
        place.ingest()
    assert place.workspace in told.value.remedy
    assert "Spark brings the rows" in place.ingest()[1][-1]
    assert len(place.asked()) == 2
    assert place.ingest()[1] == []


def test_a_store_that_was_made_anew_gets_its_rows(place: Place) -> None:
    place.ingest()
    place.remove()
    with pytest.raises(MlinfraError, match="the feature store weather is not there"):
        place.ingest()
    place.make()
    assert place.ingest()[0].written
    assert len(place.asked()) == 2


def test_a_source_that_fails_leaves_what_is_there(place: Place) -> None:
    place.ingest()
    before = place.file()[1]
    place.fails()
    with pytest.raises(MlinfraError, match="the station is down"):
        place.ingest()
    assert place.file()[1] == before
    assert len(place.asked()) == 1
    place.says(wind=6.0)
    assert place.ingest()[0].written
    assert place.wind() == 6.0


def test_a_refused_backfill_is_an_error_and_asked_for_again(place: Place) -> None:
    place.emulator.fault("throttle", TRIES)
    with pytest.raises(MlinfraError, match="Azure answers 429: The request is being throttled"):
        place.ingest()
    assert place.asked() == []
    assert place.ingest()[0].written
    assert len(place.asked()) == 1


def test_a_lost_answer_loses_no_rows(place: Place) -> None:
    place.emulator.slow(NEVER)
    place.emulator.fault("lost-after")
    done, lines = place.ingest()
    assert done.written
    assert "another job is at work" in lines[-1]
    place.cancel(place.jobs("Running")[0])
    assert "Spark brings the rows" in place.ingest()[1][-1]


def test_a_renamed_store_keeps_its_feature_set(place: Place) -> None:
    place.emulator.slow(0.0)
    place.ingest()
    renamed = replace(WEATHER, name="winds", renamed_from="weather")
    place.says(wind=5.0)
    place.ingest(renamed)
    assert place.wind() == 5.0
    assert [backfill["version"] for backfill in place.asked()] == [place.version()] * 2


# What the emulated Azure does of a backfill.


def test_a_backfill_is_of_intervals_by_their_status(place: Place) -> None:
    """The example of Microsoft's page on materialisation."""
    place.emulator.slow(0.0)
    path = f"{feature_sets.path(place.environment, WEATHER)}/backfill"

    def ask(first: str, last: str, *statuses: str) -> list[str]:
        """Return the windows of the jobs that are started, as days and hours."""
        window = {"featureWindowStart": f"2023-04-{first}", "featureWindowEnd": f"2023-04-{last}"}
        told = place.azure.act(path, {"featureWindow": window, "dataAvailabilityStatus": list(statuses)})
        about = [(place.azure.get(f"jobs/{job}") or {})["properties"]["properties"] for job in told["jobIds"]]
        windows = [f"{job['featureWindowStart']} {job['featureWindowEnd']}" for job in about]
        return [text.replace("2023-04-", "") for text in windows]

    place.emulator.fault("no-capacity")
    ask("02T04", "03T04", "None")
    ask("04T04", "05T04", "None")
    assert ask("02T12", "04T12", "Complete", "Incomplete") == ["02T12 03T04", "04T04 04T12"]
    assert ask("02T04", "05T04", "Incomplete") == ["02T04 02T12"]


def test_a_backfill_of_nothing_is_refused(place: Place) -> None:
    path = feature_sets.path(place.environment, WEATHER)
    with pytest.raises(MlinfraError, match="from '' to '' is none"):
        place.azure.act(f"{path}/backfill", {})
    with pytest.raises(MlinfraError, match="has no such field"):
        place.azure.act(f"{path}/backfill", {"window": {}})
    with pytest.raises(MlinfraError, match=r"404: The Resource .*/versions/none' was not found"):
        place.azure.act(f"{path.rpartition('/')[0]}/none/backfill", {})

"""Rows of a feature store on the emulated Google Cloud: read here, loaded into BigQuery, asked to go online."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlinfra import Entity, Feature, FeatureStore
from mlinfra.adapters import Ingested, ResolvedPart
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.training.code import code_digest
from mlinfra_providers.vertex import clients
from mlinfra_providers.vertex.naming import feature_view, online_store
from mlinfra_providers.vertex.service import VertexService
from mlinfra_providers.vertex.storage import bucket_name, feature_table
from tests.lab.gcp.server.feature_views import VIEW
from tests.lab.gcp.server.tables import TABLE
from tests.lab.gcp.server.things import BUCKET
from tests.lab.gcp.target import VertexTarget, running

pytestmark = pytest.mark.local

SOURCE = """
    import pandas as pd

    def weather():
        times = pd.to_datetime(["2026-01-01T09:30Z", "2026-01-01T10:30Z"])
        return pd.DataFrame({
            "origin": ["a", "b"], "observed_at": times, "wind": [3.5, None], "gusts": [2, 3], "calm": [True, False]
        })
"""
FIELDS = [
    {"name": "origin", "type": "STRING", "mode": "REQUIRED"},
    {"name": "observed_at", "type": "TIMESTAMP", "mode": "REQUIRED"},
    {"name": "wind", "type": "FLOAT64", "mode": "NULLABLE"},
    {"name": "gusts", "type": "INT64", "mode": "NULLABLE"},
    {"name": "calm", "type": "BOOL", "mode": "NULLABLE"},
]
STORE = FeatureStore(
    "weather",
    entity=Entity("origin", key="string"),
    event_time="observed_at",
    features=[Feature("wind", "float64"), Feature("gusts", "int64"), Feature("calm", "bool")],
    source="sources.py:weather",
)


class Features:
    """A repository with one feature store, and an environment on the emulated Google Cloud."""

    def __init__(self, folder: Path, target: VertexTarget) -> None:
        self.target = target
        self.folder = folder / "stacks" / "crowds"
        self.folder.mkdir(parents=True)
        self.source(SOURCE)
        place = {"name": "prod", "target": "vertex", "stacks": ["crowds"], **target.place}
        self.environment = Environment.model_validate(place)
        self.service = VertexService(self.environment, folder)
        self.table = feature_table(self.environment, STORE)
        self.table_id = "projects/{}/datasets/{}/tables/{}".format(*self.table.split("."))
        location = f"projects/{self.environment.account}/locations/{self.environment.region}"
        stores = f"{location}/featureOnlineStores/{online_store('prod')}"
        self.view = f"{stores}/featureViews/{feature_view('prod', STORE)}"

    def source(self, text: str) -> None:
        (self.folder / "sources.py").write_text(textwrap.dedent(text))

    def make(self, fields: list[dict[str, Any]] = FIELDS) -> None:
        self.ask("POST", TABLE, self.table_id, {"schema": json.dumps(fields)})
        self.ask("POST", VIEW, self.view)

    def ask(self, method: str, kind: str, id_: str, body: Any = None) -> None:
        self.target.emulator.ask(method, f"/lab/things/{kind}", body or {}, id=id_)

    def ingest(self, store: FeatureStore = STORE) -> tuple[Ingested, list[str]]:
        said: list[str] = []
        part = ResolvedPart("crowds", "a@example.com", "crowds", code_digest(self.folder), store)
        return self.service.ingest(part, say=said.append), said

    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.target.emulator.ask("GET", "/lab/rows", table=self.table)
        return found

    def synced(self) -> int:
        count: int = self.target.emulator.ask("GET", "/lab/synced").get(self.view, 0)
        return count


@pytest.fixture
def features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Features]:
    with running() as target:
        for name, value in target.environment.items():
            monkeypatch.setenv(name, value)
        for kept in (clients._vertex, clients._storage, clients._bigquery, clients._session):
            kept.cache_clear()
        made = Features(tmp_path, target)
        made.ask("POST", BUCKET, bucket_name(made.environment))
        yield made


def test_rows_are_loaded_and_asked_to_go_online(features: Features) -> None:
    features.make()
    done, said = features.ingest()
    assert (done.rows, done.written, features.synced()) == (2, True, 1)
    assert features.rows() == [
        {"origin": "a", "observed_at": "2026-01-01 09:30:00+00:00", "wind": 3.5, "gusts": 2, "calm": True},
        {"origin": "b", "observed_at": "2026-01-01 10:30:00+00:00", "wind": None, "gusts": 3, "calm": False},
    ]
    assert said[-1] == "weather: the newest rows go online within minutes"
    again, said = features.ingest()
    assert (again.written, said, features.synced()) == (False, [], 1)


def test_other_rows_take_the_place_of_those_before(features: Features) -> None:
    features.make()
    features.ingest()
    features.source(SOURCE.replace('"b"', '"c"').replace("[2, 3]", "[2, 4]"))
    features.ingest()
    assert [(row["origin"], row["gusts"]) for row in features.rows()] == [("a", 2), ("c", 4)]


def test_a_table_that_was_made_anew_is_loaded_again(features: Features) -> None:
    features.make()
    features.ingest()
    features.ask("DELETE", TABLE, features.table_id)
    with pytest.raises(MlinfraError, match="the feature store weather is not there"):
        features.ingest()
    features.ask("POST", TABLE, features.table_id, {"schema": json.dumps(FIELDS)})
    assert features.ingest()[0].written


def test_a_sync_that_runs_already_is_said(features: Features) -> None:
    features.make()
    features.target.emulator.slow(60)
    features.ingest()
    features.source(SOURCE.replace("3.5", "4.5"))
    done, said = features.ingest()
    assert done.written
    assert said[-1] == "weather: a sync runs already; the newest rows go online with the next one"


def test_what_is_not_online_is_not_synced(features: Features) -> None:
    features.make()
    features.ingest(replace(STORE, online=False))
    assert (len(features.rows()), features.synced()) == (2, 0)


def test_what_bigquery_refuses_is_said_and_done_again(features: Features) -> None:
    features.make([*FIELDS[:2], {"name": "wind", "type": "INT64", "mode": "NULLABLE"}, *FIELDS[3:]])
    for _ in range(2):
        with pytest.raises(MlinfraError, match=r"loading the rows of weather: .*Field wind has changed type"):
            features.ingest()
    assert features.rows() is None

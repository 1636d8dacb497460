"""Rows of a feature store on Kubernetes: read here, loaded by a Job of the cluster, into a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from mlinfra import Entity, Feature, FeatureStore
from mlinfra.adapters import Ingested, ResolvedPart
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.training.code import code_digest
from mlinfra_providers.kubernetes.clients import JOBS
from mlinfra_providers.kubernetes.labelled import loader_name
from mlinfra_providers.kubernetes.service import KubernetesService
from tests.lab.kubernetes.target import KubernetesTarget, running
from tests.lab.target import Fault
from tests.lab.test_kubernetes_target import until

pytestmark = pytest.mark.local

SPACE, STORE, TABLE = "prod-mlinfra", "flight-weather", "flight_weather"
STORES = f"/apis/feast.dev/v1/namespaces/{SPACE}/featurestores"
DECLARED = FeatureStore(
    STORE,
    entity=Entity("airport"),
    event_time="known_at",
    features=[Feature("wind", "float64"), Feature("gates", "int64")],
    source="features.py:weather",
)
SOURCE = """
    import pandas as pd

    def weather():
        return pd.DataFrame(
            {{
                "airport": ["FRA", "MUC"],
                "known_at": pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True),
                "wind": [{wind}, None],
                "gates": [7, 8],
                "runways": [4, 2],
            }}
        )
    """


@pytest.fixture(scope="module")
def target() -> Iterator[KubernetesTarget]:
    with running() as started:
        yield started


@pytest.fixture
def place(target: KubernetesTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    for name, value in target.environment.items():
        monkeypatch.setenv(name, value)
    target.empty()
    return Place(target, tmp_path)


class Place:
    """A repository with one store, and the namespace in which it is."""

    def __init__(self, target: KubernetesTarget, folder: Path) -> None:
        self.target = target
        self.cluster = target.cluster
        self.folder = folder
        self.said: list[str] = []
        environment = Environment.model_validate(
            {"name": "prod", "target": "kubernetes", "stacks": ["s"], **target.place}
        )
        self.service = KubernetesService(environment, folder)
        (folder / "stacks" / "s").mkdir(parents=True)
        security = {"pod-security.kubernetes.io/enforce": "restricted"}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "labels": security}}
        self.cluster.apply(f"/api/v1/namespaces/{SPACE}", body)
        about = {"name": loader_name(DECLARED), "namespace": SPACE}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about}
        self.cluster.apply(f"/api/v1/namespaces/{SPACE}/serviceaccounts/{about['name']}", account)
        with target.database.connect("postgres") as database:
            database.execute(f'DROP DATABASE IF EXISTS "{SPACE}" WITH (FORCE)')
        self.declare(DECLARED)

    def declare(self, store: FeatureStore) -> None:
        """Let the store be in the cluster, as `up` makes it."""
        secret = {"name": f"{STORE}-database"}
        persistence = {"persistence": {"store": {"type": "postgres", "secretRef": secret}}, "server": {}}
        registry = {"persistence": {"store": {"type": "sql", "secretRef": secret}}, "server": {"grpc": True}}
        services = {
            "podAnnotations": {"mlinfra/definitions": str(len(store.features))},
            "offlineStore": persistence,
            "onlineStore": persistence if store.online else {"disabled": True},
            "registry": {"local": registry},
        }
        spec = {"feastProject": TABLE, "services": services}
        about = {"name": STORE, "namespace": SPACE, "labels": {"managed-by": "mlinfra"}}
        body = {"apiVersion": "feast.dev/v1", "kind": "FeatureStore", "metadata": about, "spec": spec}
        self.cluster.apply(f"{STORES}/{STORE}", body, force=True)

    def ingest(self, wind: float, store: FeatureStore = DECLARED) -> Ingested:
        """Let the store's source give a wind, and bring what is due."""
        folder = self.folder / "stacks" / "s"
        (folder / "features.py").write_text(dedent(SOURCE).format(wind=wind))
        part = ResolvedPart("s", "people@example.com", "s", code_digest(folder), store)
        return self.service.ingest(part, say=self.said.append)

    def rows(self, names: str = "airport, wind, gates") -> list[tuple[object, ...]]:
        with self.target.database.connect(SPACE) as database:
            return database.execute(f"SELECT {names} FROM {TABLE} ORDER BY airport").fetchall()

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.service._cluster.list(JOBS, "")
        return found


def test_rows_are_loaded_once_and_others_again(place: Place) -> None:
    asked = len(place.target.materialized())
    done = place.ingest(1.5)
    assert (done.rows, done.written) == (2, True)
    assert place.rows() == [("FRA", 1.5, 7), ("MUC", None, 8)]
    assert place.jobs() == []
    assert f"{TABLE}: the newest are online" in place.said
    [told] = place.target.materialized()[asked:]
    assert told["feature_views"] == [TABLE]
    assert (told["start_ts"], told["end_ts"]) == ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:01+00:00")

    assert not place.ingest(1.5).written
    assert len(place.target.materialized()) == asked + 1
    assert place.ingest(2.5).written
    assert place.rows() == [("FRA", 2.5, 7), ("MUC", None, 8)]

    wider = replace(DECLARED, features=[*DECLARED.features, Feature("runways", "int64")], online=False)
    place.declare(wider)
    assert place.ingest(2.5, wider).written
    assert place.rows("airport, runways") == [("FRA", 4), ("MUC", 2)]
    assert len(place.target.materialized()) == asked + 2


def test_a_load_that_fails_says_why_and_the_next_one_repeats_it(place: Place) -> None:
    place.target.database.make(SPACE)
    with place.target.database.connect(SPACE) as database:
        database.execute(f"CREATE TABLE {TABLE} AS SELECT 'theirs' AS airport")
        with pytest.raises(MlinfraError, match="backoff limit") as caught:
            place.ingest(1.5)
        assert f"the table {TABLE} has rows that were not loaded by mlinfra" in str(caught.value)
        [failed] = place.jobs()
        lines = [path.read_text() for path in place.service.logs(_part(place))]
        assert any("not loaded by mlinfra" in text for text in lines)
        database.execute(f"DROP TABLE {TABLE}")
    assert place.ingest(1.5).written
    assert place.rows()[0] == ("FRA", 1.5, 7)
    assert place.jobs() == []
    assert failed["metadata"]["name"] not in " ".join(place.said)


def test_a_store_that_is_made_anew_is_loaded_again(place: Place) -> None:
    assert place.ingest(1.5).written
    place.cluster.send("DELETE", f"{STORES}/{STORE}")
    with pytest.raises(MlinfraError, match="is not there"):
        place.ingest(1.5)
    with place.target.database.connect(SPACE) as database:
        database.execute(f"DROP TABLE {TABLE}")
    place.declare(DECLARED)
    assert place.ingest(1.5).written
    assert place.rows()[0] == ("FRA", 1.5, 7)


def test_a_load_of_older_rows_that_still_runs_is_ended_first(place: Place) -> None:
    """The command that asked for it was killed; it waits for the table, and would come last."""
    assert place.ingest(1.0).written
    with place.target.database.connect(SPACE) as holding:
        holding.autocommit = False
        holding.execute(f"LOCK TABLE {TABLE} IN SHARE MODE")
        older = threading.Thread(target=_quietly, args=(lambda: place.ingest(2.0),))
        older.start()
        until(lambda: any((job.get("status") or {}).get("active") for job in place.jobs()), "the older load")
        [before] = place.jobs()
        newer = threading.Thread(target=_quietly, args=(lambda: place.ingest(3.0),))
        newer.start()
        name = before["metadata"]["name"]
        until(lambda: name not in {job["metadata"]["name"] for job in place.jobs()}, "its end")
        holding.rollback()
    older.join()
    newer.join()
    assert place.rows()[0] == ("FRA", 3.0, 7)


def test_a_load_that_gets_no_pod_says_why_and_runs_when_it_may(place: Place) -> None:
    place.target.fail(Fault.QUOTA)
    loading = threading.Thread(target=place.ingest, args=(1.5,))
    loading.start()
    until(lambda: any("exceeded quota: lab-full" in line for line in place.said), "the words of the quota")
    place.target.heal()
    loading.join()
    assert place.rows()[0] == ("FRA", 1.5, 7)


def _part(place: Place) -> ResolvedPart:
    return ResolvedPart("s", "people@example.com", "s", code_digest(place.folder / "stacks" / "s"), DECLARED)


def _quietly(call: Callable[[], object]) -> None:
    """Run what another ends."""
    with suppress(MlinfraError):
        call()

"""Feast itself reads what the loader wrote, and its own server brings it online: all of it in one real PostgreSQL.

Only the operator is missing: what it gives to Feast's processes is written here as it would (repo_config.go), with the
definitions that mlinfra mounts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from mlinfra import Entity, Feature, FeatureStore
from mlinfra.digests import digest_tree
from mlinfra_providers.kubernetes.feature_store import feast_definitions
from mlinfra_serving.features.load import ROWS_FILE, main
from mlinfra_serving.features.settings import PREFIX
from tests.free_port import free_port
from tests.postgres import Postgres, running

pytestmark = pytest.mark.local

DATABASE, STORE, TABLE = "team", "flight-weather", "flight_weather"
DECLARED = FeatureStore(
    STORE,
    entity=Entity("airport", key="string"),
    event_time="known_at",
    features=[
        Feature("wind", "float64"),
        Feature("gates", "int64"),
        Feature("open", "bool"),
        Feature("code", "string"),
    ],
    source="features.py:weather",
)
NOON = datetime.now(UTC).replace(microsecond=123456) - timedelta(days=2)
ROWS: dict[str, list[Any]] = {
    "airport": ["FRA", "FRA", "MUC"],
    "known_at": [NOON, NOON + timedelta(hours=2), NOON],
    "wind": [1.5, 2.5, None],
    "gates": [2**53 + 1, 11, 12],
    "open": [True, False, None],
    "code": ["a", "", None],
}
FEATURES = ["wind", "gates", "open", "code"]
SECONDS = 120.0


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with running() as server:
        server.make(DATABASE)
        yield server


@pytest.fixture(scope="module")
def repository(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Feast repository as the operator makes one, applied."""
    folder = tmp_path_factory.mktemp("feast")
    (folder / "features.py").write_text(feast_definitions(DECLARED, STORE))
    stored = {"type": "postgres", **database.document(DATABASE)}
    written = {
        "project": TABLE,
        "provider": "local",
        "entity_key_serialization_version": 3,
        "offline_store": stored,
        "online_store": stored,
        "registry": {"registry_type": "sql", "path": database.registry(DATABASE)},
    }
    (folder / "feature_store.yaml").write_text(json.dumps(written))
    subprocess.run([_feast(), "apply"], cwd=folder, check=True, capture_output=True, timeout=SECONDS)
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[str]:
    """Run Feast's own server, as the operator does, and return its URL."""
    port = free_port()
    log = repository / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_feast(), "serve", "-h", "127.0.0.1", "-p", str(port), "--workers", "1"],
            cwd=repository, stdout=output, stderr=output,
        )  # fmt: skip
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + SECONDS
    try:
        while not _answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(SECONDS)


def _feast() -> str:
    return str(Path(sys.executable).parent / "feast")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _load(folder: Path, database: Postgres, rows: dict[str, list[Any]], server: str) -> int:
    types = {
        "airport": pa.string(), "known_at": pa.timestamp("us", tz="UTC"), "wind": pa.float64(), "gates": pa.int64(),
        "open": pa.bool_(), "code": pa.string(),
    }  # fmt: skip
    tree = folder / "tree"
    tree.mkdir()
    pq.write_table(pa.table({name: pa.array(values, types[name]) for name, values in rows.items()}), tree / ROWS_FILE)
    secret = folder / "postgres"
    secret.write_text(json.dumps(database.document(DATABASE)))
    columns = {"airport": "string", "known_at": "timestamp", **{item.name: item.type for item in DECLARED.features}}
    told = {
        "ROWS": tree.as_uri(), "DIGEST": digest_tree(tree), "TABLE": TABLE, "COLUMNS": json.dumps(columns),
        "ENTITY": "airport", "EVENT_TIME": "known_at", "DATABASE": str(secret), "SERVER": server,
    }  # fmt: skip
    return main({f"{PREFIX}{name}": value for name, value in told.items()})


def _online(server: str) -> dict[str, list[Any]]:
    asked = {"features": [f"{TABLE}:{name}" for name in FEATURES], "entities": {"airport": ["FRA", "MUC", "HAM"]}}
    told = httpx.post(f"{server}/get-online-features", json=asked, trust_env=False).raise_for_status().json()
    names = told["metadata"]["feature_names"]
    return {name: result["values"] for name, result in zip(names, told["results"], strict=True)}


def test_what_is_loaded_is_joined_offline_and_looked_up_online(
    database: Postgres, repository: Path, server: str, tmp_path: Path
) -> None:
    assert _load(tmp_path, database, ROWS, server) == 0
    told = _online(server)
    assert told["wind"] == [2.5, None, None]
    assert told["gates"] == [11, 12, None]
    assert told["open"] == [False, None, None]
    assert told["code"] == ["", None, None]

    from feast import FeatureStore as Feast

    asked = pd.DataFrame(
        {
            "airport": ["FRA", "FRA", "FRA", "MUC"],
            "event_timestamp": [NOON - timedelta(hours=1), NOON, NOON + timedelta(days=1), NOON + timedelta(hours=1)],
        }
    )
    joined = Feast(repo_path=str(repository)).get_historical_features(
        entity_df=asked, features=[f"{TABLE}:{name}" for name in FEATURES]
    )
    rows = joined.to_arrow().sort_by([("airport", "ascending"), ("event_timestamp", "ascending")]).to_pydict()
    assert rows["wind"] == [None, 1.5, 2.5, None]
    assert rows["gates"] == [None, 2**53 + 1, 11, 12]
    assert rows["open"] == [None, True, False, None]


def test_other_rows_of_the_same_moments_take_their_place_online(
    database: Postgres, server: str, tmp_path: Path
) -> None:
    assert _load(tmp_path, database, {**ROWS, "wind": [7.0, 8.0, 9.0]}, server) == 0
    assert _online(server)["wind"] == [8.0, 9.0, None]


def test_a_view_that_feast_does_not_know_is_said(
    database: Postgres, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlinfra.problems import MlinfraError
    from mlinfra_serving.features.online import materialize

    with pytest.raises(MlinfraError, match=r"Feast answers \d+"):
        materialize(server, "another", NOON, NOON)

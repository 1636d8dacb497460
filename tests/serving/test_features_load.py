"""The loader of feature stores against a real PostgreSQL, and Feast itself reading what was loaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from mlinfra.digests import digest_tree
from mlinfra_serving.features import online, settings
from mlinfra_serving.features.load import EXIT_FAILED, ROWS_FILE, main
from tests.postgres import Postgres, running

DATABASE, TABLE = "team", "flight_weather"
COLUMNS = {
    "flight_id": "string", "known_at": "timestamp", "wind": "float64", "seats": "int64", "late": "bool",
    "note": "string",
}  # fmt: skip
TYPES = {
    "float64": pa.float64(), "int64": pa.int64(), "string": pa.string(), "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}  # fmt: skip
FIRST, LAST = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), datetime(2026, 3, 1, tzinfo=UTC)
ROWS: dict[str, list[Any]] = {
    "flight_id": ["LH1", 'a "quoted", one\nof two lines', "", "LH1"],
    "known_at": [FIRST, FIRST, FIRST, LAST],
    "wind": [0.1 + 0.2, None, float("inf"), -1.5e-300],
    "seats": [2**63 - 1, None, -(2**63), 0],
    "late": [True, None, False, True],
    "note": ["Zürich \\N \\.", None, "", "NULL"],
}
SECONDS = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running() as started:
        started.make(DATABASE)
        yield started


@pytest.fixture
def database(server: Postgres) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with server.connect(DATABASE) as connection:
        connection.execute("SET statement_timeout = '20s'")
        yield connection
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")


@pytest.fixture
def told(server: Postgres, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return the variables of a load of some rows."""

    def tell(rows: Mapping[str, Any], columns: Mapping[str, str] = COLUMNS, **more: str) -> dict[str, str]:
        folder = tmp_path / f"rows-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        table = pa.table({name: pa.array(rows[name], TYPES[kind]) for name, kind in columns.items()})
        pq.write_table(table, folder / ROWS_FILE)
        secret = tmp_path / "postgres"
        # JSON is YAML
        secret.write_text(json.dumps(server.document(DATABASE)))
        return {
            f"{settings.PREFIX}{name}": value
            for name, value in {
                "ROWS": folder.as_uri(),
                "DIGEST": digest_tree(folder),
                "TABLE": TABLE,
                "COLUMNS": json.dumps(columns),
                "ENTITY": "flight_id",
                "EVENT_TIME": "known_at",
                "DATABASE": str(secret),
                **more,
            }.items()
        }

    return tell


Told = Callable[..., dict[str, str]]
Database = psycopg.Connection[tuple[object, ...]]


def _rows(database: Database, names: str = ", ".join(COLUMNS)) -> list[tuple[object, ...]]:
    return database.execute(f"SELECT {names} FROM {TABLE} ORDER BY flight_id, known_at").fetchall()


def _of(rows: Mapping[str, list[Any]]) -> list[tuple[object, ...]]:
    return sorted(zip(*rows.values(), strict=True), key=lambda row: row[:2])


def _one(wind: float, **more: Any) -> dict[str, list[Any]]:
    return {**{name: values[:1] for name, values in ROWS.items()}, "wind": [wind], **more}


def test_every_type_null_and_odd_text_arrives(database: Database, told: Told) -> None:
    assert main(told(ROWS)) == 0
    assert _rows(database) == _of(ROWS)
    types = database.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0",
        [TABLE],
    ).fetchall()
    assert {str(name): kind for name, kind in types} == {
        name: settings.COLUMN_TYPES[kind] for name, kind in COLUMNS.items()
    }
    [index] = database.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [TABLE]).fetchall()
    assert "(flight_id, known_at)" in str(index[0])


def test_a_second_load_has_its_rows_alone_and_grants_stay(database: Database, told: Told) -> None:
    assert main(told(ROWS)) == 0
    database.execute(f"GRANT SELECT ON {TABLE} TO PUBLIC")
    assert main(told(_one(7.0))) == 0
    assert _rows(database) == _of(_one(7.0))
    granted = (
        "SELECT privilege_type FROM information_schema.table_privileges WHERE grantee = 'PUBLIC' AND table_name = %s"
    )
    assert database.execute(granted, [TABLE]).fetchall() == [("SELECT",)]


def test_columns_are_added_change_their_type_and_stay_empty(database: Database, told: Told) -> None:
    assert main(told(ROWS)) == 0
    columns = {name: kind for name, kind in COLUMNS.items() if name != "note"} | {"seats": "string", "gate": "int64"}
    rows = {**_one(7.0), "seats": ["many"], "gate": [4]}
    assert main(told(rows, columns)) == 0
    assert _rows(database, "flight_id, wind, seats, gate, note") == [("LH1", 7.0, "many", 4, None)]


def test_killed_before_the_end_readers_never_saw_another_row(database: Database, told: Told, server: Postgres) -> None:
    """It is held up after the swap, before it is committed: by a lock that lets rows be written, and no comment."""
    assert main(told(ROWS)) == 0
    with server.connect(DATABASE) as holding:
        holding.autocommit = False
        holding.execute(f"LOCK TABLE {TABLE} IN SHARE UPDATE EXCLUSIVE MODE")
        command = [sys.executable, "-m", "mlinfra_serving.features.load"]
        process = subprocess.Popen(command, env={**os.environ, **told(_one(7.0))}, stderr=subprocess.PIPE)
        _until(lambda: _waiting(database) or process.poll() is not None, "the loader at the lock")
        assert process.poll() is None
        assert _rows(database) == _of(ROWS)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=SECONDS)
        holding.rollback()
    _until(lambda: not _connected(database), "the end of its connection")
    assert _rows(database) == _of(ROWS)
    assert main(told(_one(7.0))) == 0
    assert _rows(database) == _of(_one(7.0))


def test_two_loads_at_once_leave_the_rows_of_one(database: Database, told: Told) -> None:
    loads = [told(_one(float(number))) for number in range(4)]
    codes: list[int] = []
    threads = [threading.Thread(target=lambda load=load: codes.append(main(load))) for load in loads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 4
    assert len(_rows(database)) == 1


def test_rows_of_others_are_left_alone(database: Database, told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    database.execute(f"CREATE TABLE {TABLE} (flight_id text)")
    database.execute(f"INSERT INTO {TABLE} VALUES ('theirs')")
    assert main(told(ROWS)) == EXIT_FAILED
    assert "was" not in capsys.readouterr().out
    assert database.execute(f"SELECT * FROM {TABLE}").fetchall() == [("theirs",)]
    database.execute(f"COMMENT ON TABLE {TABLE} IS 'rows loaded by mlinfra'")
    assert main(told(ROWS)) == 0
    assert _rows(database) == _of(ROWS)


def test_what_cannot_be_done_is_one_line(told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(variables: Mapping[str, str]) -> str:
        assert main(variables) == EXIT_FAILED
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return error

    good = told(ROWS)
    prefix = settings.PREFIX
    assert "not set: MLINFRA_FEATURES_DIGEST" in said({**good, f"{prefix}DIGEST": ""})
    assert "wanted is sha256:0" in said({**good, f"{prefix}DIGEST": "sha256:0"})
    assert "there is no such folder" in said({**good, f"{prefix}ROWS": "/nowhere"})
    assert "is none of the columns" in said({**good, f"{prefix}ENTITY": "plane"})
    assert "a type is one of" in said({**good, f"{prefix}COLUMNS": '{"flight_id": "uuid"}'})
    more = {**good, f"{prefix}COLUMNS": json.dumps({**COLUMNS, "gate": "int64"})}
    assert "does not hold the declared columns" in said(more)
    for text, words in (
        ("host: [", "is not YAML"),
        ("host: here", "has no database, user"),
        (json.dumps({"host": "127.0.0.1", "port": 1, "database": "x", "user": "y", "password": "secret"}), "refused"),
    ):
        (tmp_path / "postgres").write_text(text)
        error = said(good)
        assert words in error
        assert "secret" not in error.replace("Secret", "")
    assert "cannot be read" in said({**good, f"{prefix}DATABASE": "/nowhere"})


class _Refusing(BaseHTTPRequestHandler):
    answers: ClassVar = [503, 500]

    def do_POST(self) -> None:
        self.send_response(self.answers.pop(0))
        self.end_headers()
        self.wfile.write(b"no such view")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_a_server_that_refuses_is_told_and_one_that_starts_is_waited_for() -> None:
    from mlinfra.problems import MlinfraError

    with HTTPServer(("127.0.0.1", 0), _Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{refusing.server_port}"
        with pytest.raises(MlinfraError, match="500: no such view"):
            online.materialize(url, TABLE, FIRST, LAST, again=0.01)
        refusing.shutdown()
    with pytest.raises(MlinfraError, match=r"no answer in 0\.1 s"):
        online.materialize(url, TABLE, FIRST, LAST, wait=0.1, again=0.01)


def _waiting(database: Database) -> bool:
    asked = "SELECT FROM pg_stat_activity WHERE application_name = 'mlinfra-features' AND wait_event_type = 'Lock'"
    return database.execute(asked).fetchone() is not None


def _connected(database: Database) -> bool:
    asked = "SELECT FROM pg_stat_activity WHERE application_name = 'mlinfra-features'"
    return database.execute(asked).fetchone() is not None


def _until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)

"""The table of a feature store in PostgreSQL: its rows are replaced in one transaction.

Rows go by COPY into a temporary table first, which ends with the connection. Then one transaction makes the table what
is declared and swaps the contents: whoever reads sees the old rows or the new ones (postgresql.org/docs/current/
mvcc-intro.html). DELETE and not TRUNCATE, which snapshots of others see (…/mvcc-caveats.html); and no new table in the
place of the old one, for grants and views are of the old one. Only where columns are other ones, readers wait for the
swap.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from mlinfra.problems import MlinfraError, Refused
from mlinfra_serving.features.settings import COLUMN_TYPES, Settings

OURS = "rows loaded by mlinfra"
"""How the comment of a table begins that the loader may empty."""
_STAGING = sql.Identifier("mlinfra rows")
"""No table of a store has a space in its name."""
_BATCH_ROWS = 50_000
_CONNECT_SECONDS = 30
_NEEDED = ("host", "database", "user")


@dataclass(frozen=True)
class Loaded:
    """What is in the table now: how many rows, and their first and last event time (None without rows)."""

    rows: int
    first: datetime | None
    last: datetime | None


@contextmanager
def connected(file: Path) -> Iterator[psycopg.Connection[Any]]:
    """Connect as Feast does with the same document (feast.infra.utils.postgres: connection_utils, postgres_config).

    Raises:
        MlinfraError: the document cannot be used, or the database refuses or fails; no password is in the message.
    """
    told = _document(file)
    schema = str(told.get("db_schema") or "public").strip()
    try:
        with psycopg.connect(
            host=told["host"],
            port=int(told.get("port", 5432)),
            dbname=told["database"],
            user=told["user"],
            password=told.get("password"),
            sslmode=told.get("sslmode", "require"),
            sslkey=told.get("sslkey_path"),
            sslcert=told.get("sslcert_path"),
            sslrootcert=told.get("sslrootcert_path"),
            connect_timeout=_CONNECT_SECONDS,
            options=f"-c search_path={schema if schema == 'public' else f'{schema},public'}",
            application_name="mlinfra-features",
            autocommit=True,
        ) as connection:
            yield connection
    except (psycopg.Error, ValueError) as error:
        raise MlinfraError(
            f"PostgreSQL at {told['host']}, database {told['database']}: {' '.join(str(error).split())}",
            remedy=f"check the Secret that is mounted at {file.parent}, and what its user may",
        ) from None


def _document(file: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise MlinfraError(f"{file}: cannot be read: {error.strerror}") from None
    except (YAMLError, UnicodeError):
        # the library would show the line, and a password may stand in it
        raise MlinfraError(f"{file}: is not YAML") from None
    missing = [name for name in _NEEDED if not isinstance(found, dict) or not found.get(name)]
    if missing:
        raise MlinfraError(
            f"{file}: has no {', '.join(missing)}", remedy="write it as offline_store of feature_store.yaml has it"
        )
    told: Mapping[str, Any] = found
    return told


def load(connection: psycopg.Connection[Any], settings: Settings, file: Path) -> Loaded:
    """Make the rows of a Parquet file those of the table, which is made, or given columns, where it must be.

    A column that is not declared any more stays, empty. Readers see all of the old rows until they see all new ones.

    Raises:
        Refused: the table has rows that were not loaded here; nothing is changed.
        MlinfraError: the file does not hold the declared columns; nothing is changed.
        psycopg.Error: the database refuses; nothing is changed.
    """
    _stage(connection, settings, file)
    with connection.transaction():
        loaded = _swap(connection, settings)
    # dead rows go, and the planner knows the new ones
    connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(settings.table)))
    return loaded


def _stage(connection: psycopg.Connection[Any], settings: Settings, file: Path) -> None:
    """Copy the file into a table of this connection alone.

    Arrow writes text in quotes and nothing at all for null, which is how COPY tells them apart.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import csv, parquet

    kinds = {
        "float64": pa.float64(),
        "int64": pa.int64(),
        "string": pa.string(),
        "bool": pa.bool_(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    wanted = pa.schema([(name, kinds[kind]) for name, kind in settings.columns.items()])
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(_STAGING, _defined(settings.columns)),
    )
    copying = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(_STAGING, _named(settings))
    plain = csv.WriteOptions(include_header=False)
    with connection.cursor() as cursor, cursor.copy(copying) as copy:
        try:
            with parquet.ParquetFile(file) as rows:
                for batch in rows.iter_batches(_BATCH_ROWS, columns=wanted.names):
                    text = io.BytesIO()
                    csv.write_csv(pa.Table.from_batches([batch]).select(wanted.names).cast(wanted), text, plain)
                    copy.write(text.getvalue())
        except (pa.ArrowException, KeyError, OSError) as error:
            raise MlinfraError(f"{file.name} does not hold the declared columns: {error}") from None


def _swap(connection: psycopg.Connection[Any], settings: Settings) -> Loaded:
    table, names = sql.Identifier(settings.table), _named(settings)
    # one load at a time: the second one waits, and its rows come after
    connection.execute("SELECT pg_advisory_xact_lock(hashtext('mlinfra'), hashtext(%s))", [settings.table])
    connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(table, _defined(settings.columns)))
    _refuse_others(connection, settings.table)
    for change in _changes(connection, settings):
        connection.execute(sql.SQL("ALTER TABLE {} {}").format(table, change))
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    connection.execute(sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(table, names, names, _STAGING))
    keys = [settings.entity, settings.event_time]
    digits = hashlib.sha256("\0".join(keys).encode()).hexdigest()[:8]
    connection.execute(
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(
            sql.Identifier(f"{settings.table}_{digits}"), table, sql.SQL(", ").join(map(sql.Identifier, keys))
        )
    )
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, f"{OURS}: {settings.digest}"))
    told = connection.execute(
        sql.SQL("SELECT count(*), min({time}), max({time}) FROM {staging}").format(
            time=sql.Identifier(settings.event_time), staging=_STAGING
        )
    ).fetchone()
    assert told is not None
    return Loaded(*told)


def _refuse_others(connection: psycopg.Connection[Any], table: str) -> None:
    """Refuse to empty a table that somebody else fills."""
    named = sql.Identifier(table)
    told = connection.execute(
        sql.SQL("SELECT obj_description({}::regclass, 'pg_class'), EXISTS (SELECT FROM {})").format(
            named.as_string(connection), named
        )
    ).fetchone()
    assert told is not None
    comment, has_rows = told
    if has_rows and not str(comment or "").startswith(OURS):
        raise Refused(
            f"the table {table} has rows that were not loaded by mlinfra",
            remedy=f"rename or drop it; or, if they may go: COMMENT ON TABLE {table} IS '{OURS}'",
        )


def _changes(connection: psycopg.Connection[Any], settings: Settings) -> Iterator[sql.Composable]:
    """Yield what makes the table's columns the declared ones. All rows go, so no value has to be converted."""
    known = dict(
        connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [sql.Identifier(settings.table).as_string(connection)],
        ).fetchall()
    )
    for name, kind in settings.columns.items():
        wanted = COLUMN_TYPES[kind]
        if name not in known:
            yield sql.SQL("ADD COLUMN {}").format(_defined({name: kind}))
        elif known[name] != wanted:
            yield sql.SQL("ALTER COLUMN {} TYPE {kind} USING NULL::{kind}").format(
                sql.Identifier(name), kind=sql.SQL(wanted)
            )


def _named(settings: Settings) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, settings.columns))


def _defined(columns: Mapping[str, str]) -> sql.Composed:
    one = sql.SQL("{} {}")
    return sql.SQL(", ").join(
        one.format(sql.Identifier(name), sql.SQL(COLUMN_TYPES[kind])) for name, kind in columns.items()
    )

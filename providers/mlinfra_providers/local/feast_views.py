"""What a feature store is made of in Feast, and the parts of its online table that Feast does not look after.

Imports Feast: for `feast_worker`. Paths are relative to the folder of the features, the working directory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Bool, Float64, Int64, String

from mlinfra.digests import digest_json

PROJECT = "mlinfra"
ONLINE = "online.db"
KEY_VERSION = 3
KEYS = {"string": ValueType.STRING, "int64": ValueType.INT64}
_TYPES = {"float64": Float64, "int64": Int64, "string": String, "bool": Bool}


def declared_view(spec: Mapping[str, Any], path: str, digest: str, rows: int) -> FeatureView:
    entity = Entity(
        name=spec["entity"]["name"], join_keys=[spec["entity"]["name"]], value_type=KEYS[spec["entity"]["key"]]
    )
    columns = [{"name": spec["entity"]["name"], "type": spec["entity"]["key"]}, *spec["features"]]
    return FeatureView(
        name=spec["name"],
        entities=[entity],
        ttl=timedelta(seconds=spec["ttl_seconds"] or 0),
        schema=[Field(name=column["name"], dtype=_TYPES[column["type"]]) for column in columns],
        source=FileSource(name=spec["name"], path=path, timestamp_field=spec["event_time"]),
        online=bool(spec["online"]),
        tags={
            "mlinfra.source": spec["source"],
            "mlinfra.source_digest": spec["source_digest"],
            "mlinfra.data_digest": digest,
            "mlinfra.rows": str(rows),
        },
    )


def fingerprint(view: FeatureView | None) -> str | None:
    """Return what a view's online values were made from, as one digest."""
    if view is None:
        return None
    source = view.batch_source
    assert isinstance(source, FileSource)
    return digest_json(
        {
            "tags": dict(view.tags),
            "ttl_seconds": int(view.ttl.total_seconds()) if view.ttl else 0,
            "features": [[field.name, str(field.dtype)] for field in view.features],
            "path": source.path,
            "event_time": source.timestamp_field,
            "online": view.online,
        }
    )


def type_of(field: Field) -> str:
    return next(name for name, kind in _TYPES.items() if kind == field.dtype)


def marker(name: str) -> Path:
    return Path(f"{name}.json")


def _table_name(name: str) -> str:
    return f"{PROJECT}_{name}"


def online_rows(name: str) -> int | None:
    """Return for how many entities there are online values, or None where there is no table."""
    if not Path(ONLINE).exists():
        return None
    with closing(sqlite3.connect(ONLINE)) as connection:
        try:
            rows = connection.execute(f'SELECT COUNT(DISTINCT entity_key) FROM "{_table_name(name)}"').fetchone()
        except sqlite3.OperationalError:
            return None
    return int(rows[0])


def drop_online(name: str) -> None:
    marker(name).unlink(missing_ok=True)
    if Path(ONLINE).exists():
        with closing(sqlite3.connect(ONLINE)) as connection, connection:
            connection.execute(f'DROP TABLE IF EXISTS "{_table_name(name)}"')


def remove_departed(name: str, entity: str, key_type: str, present: Sequence[Any]) -> None:
    """Remove the values of entities that the source no longer knows: Feast only ever adds and overwrites."""
    table = _table_name(name)
    with closing(sqlite3.connect(ONLINE)) as connection, connection:
        connection.execute("CREATE TEMP TABLE present (entity_key BLOB PRIMARY KEY)")
        connection.executemany(
            "INSERT OR IGNORE INTO present VALUES (?)", ((_stored_key(entity, key_type, key),) for key in present)
        )
        connection.execute(f'DELETE FROM "{table}" WHERE entity_key NOT IN (SELECT entity_key FROM present)')


def _stored_key(entity: str, key_type: str, key: Any) -> bytes:
    value = Value(string_val=key) if key_type == "string" else Value(int64_val=key)
    return serialize_entity_key(
        EntityKey(join_keys=[entity], entity_values=[value]), entity_key_serialization_version=KEY_VERSION
    )

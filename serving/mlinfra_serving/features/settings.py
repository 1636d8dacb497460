"""What the loader is told: variables of the environment, as a Job's container has them.

MLINFRA_FEATURES_ROWS         URL of the tree with the rows, one file `rows.parquet`
MLINFRA_FEATURES_DIGEST       digest of that tree, sha256:…
MLINFRA_FEATURES_TABLE        the table, and the view of Feast that reads it
MLINFRA_FEATURES_COLUMNS      type by column, as JSON: float64, int64, string, bool or timestamp
MLINFRA_FEATURES_ENTITY       the column with the key
MLINFRA_FEATURES_EVENT_TIME   the column with the moment from which a row is known
MLINFRA_FEATURES_DATABASE     file with the connection, as Feast's feature_store.yaml has it
MLINFRA_FEATURES_SERVER       URL of Feast's own server; empty where nothing is online
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlinfra.problems import MlinfraError

PREFIX = "MLINFRA_FEATURES_"
COLUMN_TYPES: Mapping[str, str] = {
    "float64": "double precision",
    "int64": "bigint",
    "string": "text",
    "bool": "boolean",
    "timestamp": "timestamp with time zone",
}
"""PostgreSQL's type by the declared one, as its catalogue calls it (format_type)."""
_NEEDED = ("ROWS", "DIGEST", "TABLE", "COLUMNS", "ENTITY", "EVENT_TIME", "DATABASE")


@dataclass(frozen=True)
class Settings:
    """One load. `columns` are the declared types by name, in order, with the key and the event time."""

    rows: str
    digest: str
    table: str
    columns: Mapping[str, str]
    entity: str
    event_time: str
    database: Path
    server: str


def read(environment: Mapping[str, str]) -> Settings:
    """Return what the variables say.

    Raises:
        MlinfraError: one is missing, or says something that cannot be.
    """
    missing = [PREFIX + name for name in _NEEDED if not environment.get(PREFIX + name)]
    if missing:
        raise MlinfraError(f"not set: {', '.join(missing)}")
    told = {name: environment[PREFIX + name] for name in _NEEDED}
    columns = _columns(told["COLUMNS"])
    for name in ("ENTITY", "EVENT_TIME"):
        if told[name] not in columns:
            raise MlinfraError(f"{PREFIX}{name}: {told[name]!r} is none of the columns {', '.join(columns)}")
    return Settings(
        rows=told["ROWS"],
        digest=told["DIGEST"],
        table=told["TABLE"],
        columns=columns,
        entity=told["ENTITY"],
        event_time=told["EVENT_TIME"],
        database=Path(told["DATABASE"]),
        server=environment.get(f"{PREFIX}SERVER", ""),
    )


def _columns(text: str) -> Mapping[str, str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise MlinfraError(f"{PREFIX}COLUMNS is not JSON: {error}") from None
    wrong = [name for name, kind in found.items() if kind not in COLUMN_TYPES] if isinstance(found, dict) else [text]
    if wrong:
        raise MlinfraError(f"{PREFIX}COLUMNS: {', '.join(wrong)}: a type is one of {', '.join(COLUMN_TYPES)}")
    return {str(name): str(kind) for name, kind in found.items()}

"""Snapshots of sources: what a user's function returned, kept as Parquet under the digest of its content.

    <environment>/data/<name>/<hex digest>.parquet
    <environment>/data/<name>/index.json     which file is the newest, what it was read from, and when

A source is read again when its code, the libraries or the expected columns change, when it is older than its
`refresh`, or when asked to. Reading gives the same digest for the same rows, so nothing after it runs again in vain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from mlinfra.digests import digest_json, short
from mlinfra.files import read_kept, write_json
from mlinfra.training.code import code_digest, libraries_digest
from mlinfra_providers.local.layout import Layout, segments
from mlinfra_providers.local.workers import Worker

_INDEX_VERSION = 1
_KEPT_FILES = 5
"""Older snapshots go, but not at once: a training run may still be reading one."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Columns:
    """What a feature store's source must return: key, time, and features by name (all with their types)."""

    entity: str
    key: str
    event_time: str
    features: Mapping[str, str]

    def types(self) -> dict[str, str]:
        """Return the type of every column by name, in order."""
        return {self.entity: self.key, self.event_time: "timestamp", **self.features}


@dataclass(frozen=True)
class Snapshot:
    """One reading of a source. `path` is a Parquet file, `columns` maps names to types, `read_at` is ISO 8601."""

    name: str
    path: Path
    digest: str
    rows: int
    columns: Mapping[str, str]
    read_at: str


def source_digest(folder: Path) -> str:
    """Return the digest of what a source in this code folder depends on: the code, Python, the libraries.

    Raises:
        MlinfraError: the folder is missing or empty, or holds a symbolic link.
    """
    return digest_json({"code": code_digest(folder), "libraries": libraries_digest(folder)})


def data_folder(layout: Layout, name: str) -> Path:
    """Return the folder of a source's snapshots."""
    return layout.folder.joinpath("data", *segments(name))


def snapshot(
    layout: Layout,
    name: str,
    source: str,
    folder: Path,
    *,
    digest: str = "",
    columns: Columns | None = None,
    refresh_seconds: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Snapshot:
    """Return the rows that `source` (`file.py:function`, relative to the stack's `folder`) gives.

    `digest` is `source_digest(folder)`, where the caller has it already. With `columns`, the rows are checked and
    cast, and only these columns are kept.

    Raises:
        MlinfraError: the function raised, or what it returned does not fit; the message names file and line.
    """
    key = digest_json(
        {
            "source": source,
            "digest": digest or source_digest(folder),
            "columns": list(columns.types().items()) if columns is not None else None,
        }
    )
    place = data_folder(layout, name)
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / "lock"):
        index = read_kept(place / "index.json") or {}
        if not force and index.get("key") == key and not is_old(index["read_at"], refresh_seconds):
            kept = _from_index(place, name, index)
            if kept.path.is_file():
                return kept
        if progress is not None:
            progress(f"reading {source}")
        _remove_partial(place)
        with Worker("mlinfra_providers.local.source_worker", folder=folder) as worker:
            partial = place / ".reading.parquet"
            made = worker.call(
                "read",
                source=source,
                path=str(partial),
                columns=asdict(columns) if columns is not None else None,
            )
        file = f"{made['digest'].removeprefix('sha256:')}.parquet"
        partial.replace(place / file)
        index = {"version": _INDEX_VERSION, "key": key, "file": file, "read_at": datetime.now(UTC).isoformat(), **made}
        write_json(place / "index.json", index, durable=True)
        _remove_old(place, keep=file)
        if progress is not None:
            progress(f"{source}: {made['rows']:,} rows, data {short(made['digest'])}")
        return _from_index(place, name, index)


def newest(layout: Layout, name: str) -> Snapshot | None:
    """Return the newest snapshot without reading the source, or None where there is none."""
    place = data_folder(layout, name)
    index = read_kept(place / "index.json")
    kept = _from_index(place, name, index) if index is not None else None
    return kept if kept is not None and kept.path.is_file() else None


def is_old(read_at: str, refresh_seconds: float | None) -> bool:
    """Return whether what was read at a moment (ISO 8601) must be read again."""
    if refresh_seconds is None:
        return False
    return time.time() - datetime.fromisoformat(read_at).timestamp() >= refresh_seconds


def _from_index(place: Path, name: str, index: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        name, place / index["file"], index["digest"], int(index["rows"]), dict(index["columns"]), index["read_at"]
    )


def _remove_partial(place: Path) -> None:
    for path in place.glob(".*.parquet*"):
        path.unlink(missing_ok=True)


def _remove_old(place: Path, *, keep: str) -> None:
    files = sorted(place.glob("*.parquet"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[_KEPT_FILES:]:
        if path.name != keep:
            path.unlink(missing_ok=True)

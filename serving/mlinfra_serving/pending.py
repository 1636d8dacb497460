"""Pending captures: JSON lines into Parquet, one file per day, the same files however often it is done."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

_TYPES = {"FP64": pa.float64(), "INT64": pa.int64(), "BOOL": pa.bool_(), "BYTES": pa.string()}
_logger = logging.getLogger("mlinfra.serving.capture")


def convert(path: Path) -> int:
    """Write the rows of a pending file to Parquet beside it and return their number; the file itself stays.

    Columns: request_id, time (timestamp, microseconds, UTC), release, mirrored, one per input, prediction. A last
    line cut off by a kill or a full disk is left out. A file whose first line or values cannot be read is renamed to
    `unreadable-…`.

    Raises:
        OSError: the Parquet files could not be written; nothing half-written has a Parquet file's name.
    """
    header, rows = _read(path)
    days: dict[str, list[dict[str, Any]]] = {}
    try:
        for row in rows:
            day = datetime.fromtimestamp(row["time"] / 1_000_000, UTC).strftime("%Y-%m-%d")
            days.setdefault(day, []).append(row)
        tables = {day: _table(header or {}, of_day) for day, of_day in days.items()}
    except (KeyError, TypeError, ValueError, OverflowError):
        header = None
    if header is None:
        _logger.warning("%s: not a capture; set aside as unreadable", path)
        path.rename(path.with_name(path.name.replace("pending-", "unreadable-", 1)))
        return 0
    stem = path.stem.removeprefix("pending-")
    for day, table in tables.items():
        folder = path.parent / f"date={day}"
        folder.mkdir(exist_ok=True)
        # a reader of the folder must not see this one: it has no name that ends in .parquet
        partial = path.parent / f".{stem}.{day}.partial"
        try:
            pq.write_table(table, partial, compression="zstd")
            _to_disk(partial)
            partial.replace(folder / f"{stem}.parquet")
        finally:
            partial.unlink(missing_ok=True)
        _to_disk(folder)
    return len(rows)


def files_of(path: Path) -> list[Path]:
    """Return the Parquet files that became of a pending file, a day each."""
    return sorted(path.parent.glob(f"date=*/{path.stem.removeprefix('pending-')}.parquet"))


def _read(path: Path) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    lines = path.read_bytes().split(b"\n")
    # what follows the last newline is a line that was not finished, or nothing
    complete = lines[:-1]
    try:
        header = orjson.loads(complete[0])
        names = [(entry["name"], _TYPES[entry["type"]]) for entry in header["inputs"]]
    except (IndexError, KeyError, TypeError, orjson.JSONDecodeError):
        # a process that was killed before it had written its first line has lost no row
        return (None, []) if complete else ({"release": "", "inputs": []}, [])
    rows = []
    for number, line in enumerate(complete[1:], start=2):
        try:
            row = orjson.loads(line)
            if len(row["inputs"]) != len(names):
                raise KeyError("inputs")
            rows.append(row)
        except (KeyError, TypeError, orjson.JSONDecodeError):
            _logger.warning("%s: line %d is damaged and left out", path, number)
    return header, rows


def _table(header: dict[str, Any], rows: list[dict[str, Any]]) -> pa.Table:
    columns = {
        "request_id": pa.array([row["request_id"] for row in rows], pa.string()),
        "time": pa.array([row["time"] for row in rows], pa.timestamp("us", tz="UTC")),
        "release": pa.array([header["release"]] * len(rows), pa.string()),
        "mirrored": pa.array([row["mirrored"] for row in rows], pa.bool_()),
    }
    for entry in header["inputs"]:
        columns[entry["name"]] = _column(entry["type"], [row["inputs"][entry["name"]] for row in rows])
    columns["prediction"] = _column("FP64", [row["prediction"] for row in rows])
    return pa.table(columns)


def _column(type_name: str, values: list[Any]) -> pa.Array:
    if type_name == "FP64":
        # through numpy, because Arrow refuses integers that a float cannot hold exactly
        return pa.array(np.array(values, dtype=np.float64), pa.float64(), from_pandas=True)
    return pa.array(values, _TYPES[type_name])


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

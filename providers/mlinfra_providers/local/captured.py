"""Captured requests of one release, and the labels that arrived for them."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
import pyarrow as arrow  # type: ignore[import-untyped]
import pyarrow.compute as compute  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
from filelock import FileLock, Timeout

from mlinfra.files import write_atomically
from mlinfra.problems import MlinfraError
from mlinfra_providers.local.layout import Layout

if TYPE_CHECKING:
    import pandas as pd

LOCK_SECONDS = 60.0
_OPEN = timedelta(seconds=120)
"""Longer than a capture file is open: it gets no row that is later than this after its beginning."""
_BEGINNING = "%Y%m%dT%H%M%S"
_MOMENT, _NUMBER = arrow.timestamp("us", tz="UTC"), arrow.float64()
_LABELS = arrow.schema([("request_id", arrow.string()), ("label", arrow.float64())])
_UNREADABLE = (OSError, KeyError, ValueError, TypeError, arrow.ArrowException)


def captured(
    layout: Layout, endpoint: str, release: str, since: datetime, until: datetime, *, mirrored: bool = False,
    inputs: bool = False,
) -> arrow.Table:  # fmt: skip
    """Return the rows that a release answered in a window: `request_id`, `prediction` and, with `inputs`, those.

    Copies of requests (`mirrored`) and requests are never mixed. Rows that are not in Parquet yet are read as well.
    A file that cannot be read is left out.
    """
    folder = layout.capture(endpoint) / release
    # Before the Parquet files are listed: what becomes Parquet meanwhile is found there, and left out here.
    waiting = {path.stem.removeprefix("pending-"): path for path in folder.glob("pending-*.jsonl")}
    files = []
    for path in sorted(folder.glob("date=*/*.parquet")):
        waiting.pop(path.stem, None)
        files.append((path, path.stem, _parquet))
    files += [(path, stem, _pending) for stem, path in waiting.items()]
    tables = []
    for path, stem, read in files:
        if may_hold(stem, since, until):
            with contextlib.suppress(*_UNREADABLE):
                tables.append(_within(read(path, inputs), since, until, mirrored))
    kept = [table for table in tables if table.num_rows]
    if not kept:
        return arrow.table({"request_id": arrow.array([], arrow.string()), "prediction": arrow.array([], _NUMBER)})
    whole = arrow.concat_tables(kept, promote_options="permissive")
    return whole.drop_columns([name for name in ("time", "mirrored", "release") if name in whole.column_names])


def frame_of(rows: arrow.Table, most: int) -> pd.DataFrame:
    """Return inputs and prediction as a frame: evenly spaced rows, where there are more than `most`."""
    import numpy as np

    if rows.num_rows > most:
        rows = rows.take(np.linspace(0, rows.num_rows - 1, most).astype(np.int64))
    return cast("pd.DataFrame", rows.drop_columns(["request_id"]).to_pandas())


def labelled(rows: arrow.Table, labels: arrow.Table) -> tuple[array[float], array[float], int]:
    """Return predictions and labels of the requests that have one, and how many could have one.

    A request of several rows cannot: a label names no row.
    """
    import numpy as np

    ids = rows["request_id"].combine_chunks()
    # The rows of a request are written one after the other.
    again = compute.fill_null(compute.equal(ids.slice(1), ids.slice(0, max(len(ids) - 1, 0))), True)
    repeats = again.to_numpy(zero_copy_only=False)
    alone = np.ones(len(ids), dtype=bool)
    alone[1:] &= ~repeats
    alone[:-1] &= ~repeats
    # Looked up among the rows of a window, as there may be labels of years.
    places = compute.index_in(labels["request_id"], value_set=ids)
    known = compute.is_valid(places).to_numpy()
    found = compute.drop_null(places).to_numpy()
    predictions = rows["prediction"].to_numpy()[found][alone[found]]
    true = labels["label"].to_numpy()[known][alone[found]]
    return array("d", predictions.tobytes()), array("d", true.tobytes()), int(alone.sum())


def read_labels(layout: Layout, endpoint: str) -> arrow.Table | None:
    """Return all labels of an endpoint, one for each request id, or None where there are none.

    Raises:
        MlinfraError: the file that keeps them is damaged.
    """
    path = labels_file(layout, endpoint)
    try:
        return parquet.read_table(path, schema=_LABELS)
    except FileNotFoundError:
        return None
    except (OSError, arrow.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MlinfraError(
            f"{path} is damaged: {reason}", remedy="bring it back from a copy, or remove it and add the labels again"
        ) from error


def add_labels(layout: Layout, endpoint: str, labels: Mapping[str, float]) -> int:
    """Keep what was true in the end, by request id; return how many were not known before. The last one counts.

    Raises:
        MlinfraError: another process adds labels and does not end, or what is kept is damaged.
    """
    path = labels_file(layout, endpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    added = arrow.table([list(labels), [float(label) for label in labels.values()]], schema=_LABELS)
    try:
        with FileLock(path.with_suffix(".lock"), timeout=LOCK_SECONDS):
            known = read_labels(layout, endpoint)
            if known is None:
                known = _LABELS.empty_table()
            again = compute.is_in(known["request_id"], value_set=added["request_id"].combine_chunks())
            kept = known.filter(compute.invert(again))
            file = arrow.BufferOutputStream()
            parquet.write_table(arrow.concat_tables([kept, added]), file, compression="zstd")
            write_atomically(path, file.getvalue().to_pybytes(), durable=True)
    except Timeout:
        raise MlinfraError(
            f"another process has been adding labels to {endpoint} for {LOCK_SECONDS:g} s",
            remedy="wait for it to end, then add them again",
        ) from None
    return int(added.num_rows - (known.num_rows - kept.num_rows))


def labels_file(layout: Layout, endpoint: str) -> Path:
    """Return where the labels of an endpoint are kept."""
    return layout.endpoint(endpoint) / "labels.parquet"


def may_hold(stem: str, since: datetime, until: datetime) -> bool:
    """Return whether a file may hold rows of a window, by the time in its name."""
    try:
        begun = datetime.strptime(stem.partition("-")[0], _BEGINNING).replace(tzinfo=UTC)
    except ValueError:
        return True
    return since - _OPEN <= begun <= until + _OPEN


def _parquet(path: Path, inputs: bool) -> arrow.Table:
    return parquet.ParquetFile(path).read(columns=None if inputs else ["request_id", "time", "mirrored", "prediction"])


def _pending(path: Path, inputs: bool) -> arrow.Table:
    # The first line names the columns; what follows the last end of a line is being written.
    rows = [row for line in path.read_bytes().split(b"\n")[1:-1] if (row := _row(line, inputs)) is not None]
    return arrow.Table.from_pylist(rows)


def _row(line: bytes, inputs: bool) -> dict[str, Any] | None:
    try:
        row = orjson.loads(line)
        own = {
            "request_id": row["request_id"],
            "time": datetime.fromtimestamp(row["time"] / 1_000_000, UTC),
            "mirrored": row["mirrored"],
            "prediction": None if row["prediction"] is None else float(row["prediction"]),
        }
        return {**row["inputs"], **own} if inputs else own
    except (KeyError, TypeError, ValueError):
        return None


def _within(table: arrow.Table, since: datetime, until: datetime, mirrored: bool) -> arrow.Table:
    if not table.num_rows:
        return table
    times = compute.cast(table["time"], _MOMENT)
    inside = compute.and_(
        compute.greater_equal(times, arrow.scalar(since, type=_MOMENT)),
        compute.less(times, arrow.scalar(until, type=_MOMENT)),
    )
    copies = compute.fill_null(table["mirrored"], False)
    wanted = compute.and_(inside, copies if mirrored else compute.invert(copies))
    return table if compute.all(wanted).as_py() else table.filter(wanted)

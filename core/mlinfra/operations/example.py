"""A real row, for people to start from: one that the model was trained on."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError
from mlinfra.releases import Release

ROWS_FILE = "rows.parquet"
_LOOKED_AT = 100
_OF_TYPE = {"FP64": 0.0, "INT64": 0, "BOOL": False, "BYTES": ""}


def example_row(session: Session, release: Release) -> dict[str, Any]:
    """Return a row that the release answers: the fullest of the first rows of its baseline, by input.

    Where the baseline cannot be read here it is zeros and empty text, which fit the signature too.
    """
    rows = _baseline_rows(session, release) or [{}]
    inputs = release.identity.signature["inputs"]
    fullest = max(rows, key=lambda row: sum(row.get(column["name"]) is not None for column in inputs))
    return {
        column["name"]: fullest.get(column["name"], None if fullest else _OF_TYPE[column["type"]]) for column in inputs
    }


def _baseline_rows(session: Session, release: Release) -> list[dict[str, Any]]:
    if find_spec("pyarrow") is None:
        return []
    from pyarrow import parquet  # type: ignore[import-untyped]

    store = session.repository.artifacts(session.environment)
    with tempfile.TemporaryDirectory(prefix="mlinfra-") as folder:
        try:
            baseline = store.get_tree(release.identity.baseline, Path(folder) / "baseline")
            batches = parquet.ParquetFile(baseline / ROWS_FILE).iter_batches(batch_size=_LOOKED_AT)
            rows: list[dict[str, Any]] = next(batches).to_pylist()
        except (MlinfraError, OSError, ValueError, StopIteration):
            return []
    return rows

"""A real row, for people to start from: one that the model was trained on."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlinfra.files import write_atomically
from mlinfra.operations.predict import v2_request
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError
from mlinfra.releases import Release

ROWS_FILE = "rows.parquet"
_LOOKED_AT = 100
_OF_TYPE = {"FP64": 0.0, "INT64": 0, "BOOL": False, "BYTES": ""}


@dataclass(frozen=True)
class Example:
    """Two files with the same row: for `mlinfra predict`, and as the body of a request to the endpoint."""

    row: Path
    request: Path


def write_example(session: Session, endpoint: str, release: Release) -> Example:
    """Write a row that the release answers to `.mlinfra/<environment>/examples/`."""
    row = example_row(session, release)
    folder = session.repository.data / session.environment.name / "examples"
    example = Example(folder / f"{endpoint}.row.json", folder / f"{endpoint}.json")
    for path, value in ((example.row, row), (example.request, v2_request([row], release.identity.signature))):
        write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    return example


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

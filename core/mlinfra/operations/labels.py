"""labels add: what was true in the end, by request id, from a file of CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.given_file import name_of, read_given
from mlinfra.operations.session import Session
from mlinfra.problems import Problem, Problems, WrongUse, nearest
from mlinfra.repository import Repository

COLUMNS = ("request_id", "label")
REMEDY = "give CSV with a header, JSON lines or Parquet, with the columns request_id and label"

Row = tuple[int, Any, Any]
"""The line (of Parquet: the row) counted from 1, the request id and the label as they were found."""


@dataclass(frozen=True)
class Added:
    """How many labels were given for an endpoint, and how many request ids had none before."""

    environment: str
    endpoint: str
    labels: int
    new: int

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `labels add --json`, version 1."""
        return {
            "version": 1,
            "environment": self.environment,
            "endpoint": self.endpoint,
            "labels": self.labels,
            "new": self.new,
        }


def add_labels(repository: Repository, name: str, file: Path | str, *, endpoint: str | None = None) -> Added:
    """Give an endpoint the labels of a file (`-`: stdin). Of two labels for one request the last one counts.

    Raises:
        Problems: all that is wrong with the file; then nothing of it is kept.
        WrongUse: it cannot be read, or there is no such endpoint.
    """
    session = Session.open(repository, name)
    part = session.one(Endpoint, endpoint)
    labels = labels_of(read_given(file, REMEDY), name_of(file))
    new = session.service.add_labels(part.part.renamed_from or part.part.name, labels)
    return Added(name, part.part.name, len(labels), new)


def labels_of(content: bytes, file: str) -> dict[str, float]:
    """Return the labels in a file's content, by request id.

    Raises:
        Problems: all that is wrong with it.
        WrongUse: it holds no label.
    """
    labels: dict[str, float] = {}
    problems: list[Problem] = []
    for row in _rows(content, file):
        if isinstance(row, Problem):
            problems.append(row)
            continue
        line, request_id, label = row
        number = _number(label)
        if not isinstance(request_id, str) or not request_id:
            problems.append(_wrong(file, line, "request_id", request_id, "a text"))
        if number is None:
            problems.append(_wrong(file, line, "label", label, "a number, true or false"))
        if isinstance(request_id, str) and number is not None:
            labels[request_id] = number
    if problems:
        raise Problems(problems)
    if not labels:
        raise WrongUse(f"{file}: holds no label", remedy=REMEDY)
    return labels


def _rows(content: bytes, file: str) -> Iterator[Row | Problem]:
    if content.startswith(b"PAR1"):
        return _parquet(content, file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return iter([Problem(file, line, "", "is not UTF-8 text", remedy=REMEDY)])
    return _json_lines(text, file) if text.lstrip().startswith(("{", "[")) else _csv(text, file)


def _csv(text: str, file: str) -> Iterator[Row | Problem]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next((row for row in reader if row), [])
        if missing := list(_missing(file, reader.line_num, header)):
            yield from missing
            return
        id_place, label_place = (header.index(name) for name in COLUMNS)
        for row in reader:
            if len(row) == len(header):
                yield reader.line_num, row[id_place], row[label_place]
            elif row:
                message = f"has {len(row)} values, and the header {len(header)} names"
                yield Problem(file, reader.line_num, "", message)
    except csv.Error as error:
        yield Problem(file, reader.line_num, "", f"is not CSV: {error}", remedy=REMEDY)


def _json_lines(text: str, file: str) -> Iterator[Row | Problem]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            yield Problem(file, number, "", "is no JSON object", found=line.strip()[:80], expected="one object a line")
        elif missing := list(_missing(file, number, list(row))):
            yield from missing
        else:
            yield number, row["request_id"], row["label"]


def _parquet(content: bytes, file: str) -> Iterator[Row | Problem]:
    import pyarrow as arrow  # type: ignore[import-untyped]
    import pyarrow.parquet as parquet  # type: ignore[import-untyped]

    try:
        found = parquet.ParquetFile(arrow.BufferReader(content))
        missing = list(_missing(file, 0, found.schema_arrow.names))
        columns = [] if missing else [found.read(columns=[name])[name].to_pylist() for name in COLUMNS]
    except (OSError, ValueError, arrow.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        yield Problem(file, 0, "", f"is not Parquet: {reason}", remedy=REMEDY)
        return
    yield from missing
    for number, (request_id, label) in enumerate(zip(*columns, strict=True) if columns else (), start=1):
        yield number, request_id, label


def _missing(file: str, line: int, names: Sequence[str]) -> Iterator[Problem]:
    for name in COLUMNS:
        if name not in names:
            shown = ", ".join(map(str, names))[:80]
            near = nearest(name, map(str, names))
            yield Problem(file, line, name, "is missing", found=shown, nearest=near, remedy=REMEDY)
        elif names.count(name) > 1:
            yield Problem(file, line, name, "is there twice")


def _number(label: Any) -> float | None:
    """Return a label as a finite number, or None where it is none."""
    if isinstance(label, str):
        label = {"true": True, "false": False}.get(label.strip().lower(), label)
    try:
        number = float(label)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _wrong(file: str, line: int, column: str, found: Any, expected: str) -> Problem:
    return Problem(file, line, column, "is not valid", found=repr(found)[:80], expected=expected)

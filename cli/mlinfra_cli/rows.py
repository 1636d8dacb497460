"""Rows as people give them: a JSON object, a JSON array of objects, or CSV with a header."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

from mlinfra.problems import WrongUse

Row = dict[str, Any]

_REMEDY = """give a JSON object, a JSON array of objects, or CSV with a header:
'{"temp": 39.0, "origin": "JFK"}', @rows.csv for a file, or on stdin"""


def read_rows(given: str | None) -> list[Row]:
    """Return the rows in `given`: text, `@file`, or (`-` or nothing) what comes on stdin.

    Raises:
        WrongUse: it cannot be read, or it is none of the forms.
    """
    rows = _parse(_text(given))
    if not rows:
        raise _wrong("there is no row")
    return rows


def _text(given: str | None) -> str:
    if given is not None and given.startswith("@"):
        try:
            return Path(given[1:]).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise _wrong(f"{given[1:]} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise _wrong(f"{given[1:]} is not UTF-8 text") from None
    if given not in (None, "-"):
        return str(given)
    if sys.stdin.isatty():
        raise _wrong("no row was given")
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise _wrong("stdin is not UTF-8 text") from None


def _parse(text: str) -> list[Row]:
    text = text.strip()
    if not text.startswith(("{", "[")):
        return _csv(text)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise _wrong(f"this is not JSON: {error}") from None
    rows = value if isinstance(value, list) else [value]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise _wrong(f"row {number} is no JSON object: {json.dumps(row)[:60]}")
    return rows


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON (null is a missing value)")


def _csv(text: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise _wrong(f"this is not CSV: line {reader.line_num}: {error}") from None
    if not lines:
        return []
    header, *rest = lines
    for number, line in enumerate(rest, start=1):
        if len(line) != len(header):
            raise _wrong(f"row {number} has {len(line)} values, the header has {len(header)} names")
    return [{name: value or None for name, value in zip(header, line, strict=True)} for line in rest]


def _wrong(message: str) -> WrongUse:
    return WrongUse(message, remedy=_REMEDY)

"""Rows as people give them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.problems import WrongUse
from mlinfra_cli.rows import read_rows

names = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1)
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.lists(st.dictionaries(st.text(), values), min_size=1))
def test_json_comes_through(rows: list[dict[str, Any]]) -> None:
    assert read_rows(json.dumps(rows)) == rows
    assert read_rows(f"\n {json.dumps(rows[0])} ") == rows[:1]


@given(st.data())
def test_csv_comes_through(data: st.DataObject) -> None:
    header = data.draw(st.lists(names, min_size=2, unique=True))
    cell = st.text(st.characters(exclude_categories=("Cs", "Cc")))
    rows = data.draw(st.lists(st.lists(cell, min_size=len(header), max_size=len(header)), min_size=1))
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    expected = [{name: value or None for name, value in zip(header, row, strict=True)} for row in rows]
    assert read_rows(written.getvalue()) == expected


def test_files_and_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("﻿age,name\n59,Ünal\n,\n".encode())
    expected = [{"age": "59", "name": "Ünal"}, {"age": None, "name": None}]
    assert read_rows(f"@{path}") == expected
    for nothing in (None, "-"):
        monkeypatch.setattr("sys.stdin", io.StringIO('{"age": 59}'))
        assert read_rows(nothing) == [{"age": 59}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no row"),
        ("[]", "there is no row"),
        ("age,name\n", "there is no row"),
        ('{"age": }', "this is not JSON: Expecting value: line 1 column 9 (char 8)"),
        ('{"age": NaN}', "this is not JSON: NaN is no JSON (null is a missing value)"),
        ('[{"age": 1}, 2]', "row 2 is no JSON object: 2"),
        ("age,name\n1,2\n3\n", "row 2 has 1 values, the header has 2 names"),
        ('age\n"1\n', "this is not CSV: line 2: unexpected end of data"),
        ("@/no/such/file", "/no/such/file cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(WrongUse) as error:
        read_rows(text)
    assert error.value.message == said
    assert "CSV with a header" in error.value.remedy


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WrongUse, match="is not UTF-8 text"):
        read_rows(f"@{tmp_path / 'rows'}")

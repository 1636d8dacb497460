"""mlinfra labels add: files of labels, and everything that can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as arrow  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
import pytest
from typer.testing import Result

from mlinfra.operations.labels import labels_of
from mlinfra.problems import MlinfraError, Problems
from mlinfra_providers.local.captured import read_labels
from mlinfra_providers.local.layout import Layout

Run = Callable[..., Result]


def kept(repository: Path) -> dict[str, float]:
    labels = read_labels(Layout(repository, "dev"), "diabetes")
    if labels is None:
        return {}
    return dict(zip(labels["request_id"].to_pylist(), labels["label"].to_pylist(), strict=True))


def table(**columns: Any) -> bytes:
    file = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(columns), file)
    content: bytes = file.getvalue().to_pybytes()
    return content


FORMS: dict[str, bytes] = {
    "csv": b'\xef\xbb\xbfrequest_id,when,label\r\na,now,1\r\n\r\n"b",then,0.5\r\nc,,FALSE\r\n',
    "csv in another order": b"label,request_id\n1,a\n0.5,b\nfalse,c",
    "json lines": b'{"request_id": "a", "label": 1}\n\n{"label": 0.5, "request_id": "b", "x": 1}\r\n'
    b'{"request_id": "c", "label": false}',
    "parquet": table(request_id=["a", "b", "c"], label=[1.0, 0.5, 0.0], more=[1, 2, 3]),
    "the last one counts": b"request_id,label\na,7\nb,0.5\nc,0\na,1\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str) -> None:
    assert labels_of(FORMS[form], "file") == {"a": 1.0, "b": 0.5, "c": 0.0}


def test_labels_of_whole_numbers_and_of_truth() -> None:
    assert labels_of(table(request_id=["a"], label=[3]), "f") == {"a": 3.0}
    assert labels_of(table(request_id=["a"], label=[True]), "f") == {"a": 1.0}
    names = arrow.array(["a"]).dictionary_encode()
    assert labels_of(table(request_id=names, label=[1]), "f") == {"a": 1.0}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"request_id,label\na,1\nb\nc,high\n,1\nd,nan\n\nf,1\n",
            [
                "f:3: has 1 values, and the header 2 names",
                "f:4: label: is not valid (found 'high', expected a number, true or false)",
                "f:5: request_id: is not valid (found '', expected a text)",
                "f:6: label: is not valid (found 'nan', expected a number, true or false)",
            ],
        ),
        (
            b'{"request_id": 7, "label": null}\n{"request_id": "a"}\nnonsense\n[]\n{"request_id": "b", "label": 1e999}',
            [
                "f:1: label: is not valid (found None, expected a number, true or false)",
                "f:1: request_id: is not valid (found 7, expected a text)",
                "f:2: label: is missing (found request_id)",
                "f:3: is no JSON object (found nonsense, expected one object a line)",
                "f:4: is no JSON object (found [], expected one object a line)",
                "f:5: label: is not valid (found inf, expected a number, true or false)",
            ],
        ),
        (b"request,lable\na,1\n", ["f:1: label: is missing", "f:1: request_id: is missing"]),
        (b"request_id;label\na;1\n", ["f:1: label: is missing", "f:1: request_id: is missing"]),
        (b"request_id,label,label\na,1,2\n", ["f:1: label: is there twice"]),
        (b'request_id,label\na,"1\n', ["f:2: is not CSV"]),
        (b"request_id,label\na,1\n\xff,1\n", ["f:3: is not UTF-8 text"]),
        (b"[1]", ["f:1: is no JSON object"]),
        (b"PAR1 and nothing else", ["f: is not Parquet"]),
        (table(request_id=["a"], y=[1]), ["f: label: is missing (found request_id, y)"]),
        (
            table(request_id=[1, None], label=["x", None]),
            [
                "f:1: label: is not valid (found 'x'",
                "f:1: request_id: is not valid (found 1, expected a text)",
                "f:2: label: is not valid (found None",
                "f:2: request_id: is not valid (found None",
            ],
        ),
    ],
)
def test_all_that_is_wrong_is_said_at_once_with_its_line(content: bytes, said: list[str]) -> None:
    with pytest.raises(Problems) as caught:
        labels_of(content, "f")
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == len(said)
    for text, expected in zip(found, said, strict=True):
        assert text.startswith(expected)


@pytest.mark.parametrize("content", [b"request_id,label\n", b"\n\n", table(request_id=[], label=[])])
def test_a_file_without_any_label_is_refused(content: bytes) -> None:
    with pytest.raises(MlinfraError):
        labels_of(content, "f")


def test_labels_are_kept_and_new_ones_counted(repository: Path, run: Run) -> None:
    (repository / "labels.csv").write_bytes(FORMS["csv"])
    result = run("labels", "add", "dev", "labels.csv")
    assert (result.exit_code, result.stdout) == (0, "diabetes: 3 labels, 3 of them new\n")
    result = run("labels", "add", "dev", "-", given='{"request_id": "a", "label": 0}\n{"request_id": "z", "label": 1}')
    assert result.stdout.splitlines() == [
        "diabetes: 2 labels, 1 of them new",
        "1 of the requests had one before: the last one counts",
    ]
    assert kept(repository) == {"a": 0.0, "b": 0.5, "c": 0.0, "z": 1.0}


def test_nothing_is_kept_of_a_file_with_one_bad_line(repository: Path, run: Run) -> None:
    (repository / "labels.csv").write_text("request_id,label\na,1\nb,one\n", encoding="utf-8")
    result = run("labels", "add", "dev", "labels.csv")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "labels.csv:3: label: is not valid (found 'one', expected a number, true or false)" in result.stderr
    assert kept(repository) == {}


def test_json(repository: Path, run: Run) -> None:
    (repository / "labels.parquet").write_bytes(FORMS["parquet"])
    result = run("labels", "add", "dev", "labels.parquet", "--endpoint", "endpoints.diabetes", "--json")
    assert json.loads(result.stdout) == {
        "version": 1, "environment": "dev", "endpoint": "diabetes", "labels": 3, "new": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dev", "nowhere.csv"], "nowhere.csv: is not there"),
        (["dev", "."], "is a folder"),
        (["dve", "labels.csv"], "dve"),
        (["dev", "labels.csv", "--endpoint", "diabets"], "did you mean 'diabetes'?"),
    ],
)
def test_wrong_use_exits_2(repository: Path, run: Run, arguments: list[str], said: str) -> None:
    (repository / "labels.csv").write_bytes(FORMS["csv"])
    result = run("labels", "add", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert kept(repository) == {}

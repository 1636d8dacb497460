"""What Vertex AI captured becomes what the server captures."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlinfra_serving.drift import vertex
from mlinfra_serving.drift.job import EXIT_FAILED

MOMENT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def row(release: str, asked: dict[str, Any], *predictions: float) -> dict[str, Any]:
    answer = {"model_version": release, "outputs": [{"name": "p", "data": list(predictions)}]}
    texts = {"request_payload": [json.dumps(asked)], "response_payload": [json.dumps(answer)]}
    return {"logging_time": MOMENT, "request_id": 7, **texts}


TENSORS = {"inputs": [{"name": "wind", "data": [1.0, 2.0]}, {"name": "dest", "data": ["a", "b"]}]}


def test_rows_of_one_release_are_kept(tmp_path: Path) -> None:
    captured = [
        row("v1", TENSORS, 0.1, 0.2),
        row("v2", TENSORS, 0.3, 0.4),
        row("v1", {"instances": [{"wind": 3.0}]}, 1),
    ]
    assert vertex.keep(captured, tmp_path, "v1") == 0
    [path] = tmp_path.rglob("*.parquet")
    assert path.parent == tmp_path / "v1" / "date=2026-11-22"
    frame = pd.read_parquet(path)
    assert list(frame["wind"]) == [1.0, 2.0, 3.0]
    assert list(frame["prediction"]) == [0.1, 0.2, 1.0]
    assert set(frame["release"]) == {"v1"}


@pytest.mark.parametrize("wrong", [{"request_payload": ["no"]}, {"response_payload": []}, {"logging_time": "?"}])
def test_what_cannot_be_read_is_counted(tmp_path: Path, wrong: dict[str, Any]) -> None:
    assert vertex.keep([{**row("v1", TENSORS, 0.1, 0.2), **wrong}], tmp_path, "v1") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_variable_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert vertex.main({}) == EXIT_FAILED
    assert "MLINFRA_DRIFT_MONITOR is not set" in capsys.readouterr().err

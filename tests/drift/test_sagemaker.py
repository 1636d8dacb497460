"""The drift job on what SageMaker captured."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlinfra_serving.drift import build_profile
from mlinfra_serving.drift.sagemaker import keep, main

RELEASE = "3f9c2ab1d07e"


def line(wind: Sequence[float], *, csv: bool = False, hidden: bool = False, minute: int = 0) -> str:
    """Return one request with a row for each value, as SageMaker captures it."""
    body = "wind\n" + "\n".join(map(str, wind)) if csv else json.dumps({"inputs": [tensor("wind", wind)]})
    asked = {"observedContentType": "text/csv" if csv else "application/json", "mode": "INPUT", "data": body}
    asked |= {"encoding": "CSV" if csv else "JSON"}
    if hidden:
        asked |= {"data": base64.b64encode(body.encode()).decode(), "encoding": "BASE64"}
    answer = json.dumps({"outputs": [tensor("prediction", [value / 100 for value in wind])]})
    answered = {"observedContentType": "application/json", "mode": "OUTPUT", "data": answer, "encoding": "JSON"}
    when = datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return json.dumps(
        {
            "captureData": {"endpointInput": asked, "endpointOutput": answered},
            "eventMetadata": {"eventId": f"id-{minute}", "inferenceTime": when},
            "eventVersion": "0",
        }
    )


def tensor(name: str, data: Sequence[float]) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": "FP64", "data": list(data)}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    """Run the job on some captured lines, against a baseline of winds from 0 to 10."""
    numbers = np.linspace(0, 10, 1000)
    (tmp_path / "baseline").mkdir()
    build_profile(pd.DataFrame({"wind": numbers, "prediction": numbers / 100})).write(
        tmp_path / "baseline" / "profile.json"
    )
    (tmp_path / "thresholds").mkdir()
    threshold = {"metric": "js_divergence", "operator": "<=", "value": 0.1}
    (tmp_path / "thresholds" / "thresholds.json").write_text(json.dumps({"wind": threshold}))

    def start(*lines: str) -> int:
        folder = tmp_path / "captured" / "2026" / "11" / "22" / "14"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "05-42-1.jsonl").write_text("\n".join(lines))
        options = ["--endpoint", "prod-api", "--release", RELEASE, "--window", "1h", "--on-drift", "block-promotion"]
        return main(["--folder", str(tmp_path), *options])

    return start


@pytest.mark.parametrize("form", [{}, {"csv": True}, {"hidden": True}])
def test_a_window_like_the_baseline_is_quiet(run: Callable[..., int], tmp_path: Path, form: dict[str, bool]) -> None:
    assert run(line(list(np.linspace(0, 10, 400)), **form)) == 0
    report = json.loads((tmp_path / "reports" / "latest.json").read_text())
    assert (report["verdict"], report["release"]) == ("ok", RELEASE)


@pytest.mark.parametrize("form", [{}, {"csv": True}, {"hidden": True}])
def test_another_window_fails_the_run_and_blocks(
    run: Callable[..., int], tmp_path: Path, form: dict[str, bool]
) -> None:
    assert run(line(list(np.linspace(20, 30, 400)), **form)) == 1
    assert (tmp_path / "reports" / "blocked.json").is_file()


def test_nothing_captured_is_no_failure(run: Callable[..., int], tmp_path: Path) -> None:
    assert run() == 0
    assert json.loads((tmp_path / "reports" / "latest.json").read_text())["verdict"] == "no data"


def test_what_cannot_be_read_is_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "captured").mkdir()
    lines = [line([1.0, 2.0]), "{", json.dumps({"captureData": {}}), line([3.0])]
    (tmp_path / "captured" / "a.jsonl").write_text("\n".join(lines))
    assert keep(tmp_path / "captured", tmp_path / "kept", RELEASE) == 2
    (file,) = (tmp_path / "kept").rglob("*.parquet")
    assert list(pd.read_parquet(file)["wind"]) == [1.0, 2.0, 3.0]


def test_without_a_baseline_the_run_could_not_be_done(run: Callable[..., int], tmp_path: Path) -> None:
    (tmp_path / "baseline" / "profile.json").unlink()
    assert run(line([1.0])) == 2

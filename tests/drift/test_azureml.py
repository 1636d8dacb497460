"""The drift job on what Azure ML collected."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlinfra_serving.drift import build_profile
from mlinfra_serving.drift.azureml import keep, main
from mlinfra_serving.drift.capture import parse_window

RELEASE, ENDPOINT = "3f9c2ab1d07e", "prod-api-1a2b3c"
NOW = datetime.now(UTC).replace(microsecond=0)
Collect = Callable[..., Path]


def tensor(name: str, data: Sequence[float]) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": "FP64", "data": list(data)}


def event(kind: str, data: Any, number: int, moment: datetime) -> str:
    """Return a line as the page on collected data shows it."""
    told = {"specversion": "1.0", "id": f"{kind}-{number}", "type": f"azureml.inference.{kind}", "data": data}
    stamp = moment.isoformat().replace("+00:00", "Z")
    return json.dumps({**told, "datacontenttype": "application/json", "time": stamp, "correlationid": f"id-{number}"})


@pytest.fixture
def collect(tmp_path: Path) -> Collect:
    """Write one request with a row for each wind, and its answer."""

    def write(winds: Sequence[float], *, number: int = 0, moment: datetime = NOW, release: str = RELEASE) -> Path:
        folder = tmp_path / "captured" / ENDPOINT / f"r{release}-0f1e2d"
        asked = {"inputs": [tensor("wind", winds)]}
        answered = {"outputs": [tensor("prediction", [wind / 100 for wind in winds])]}
        for kind, data in (("request", asked), ("response", answered)):
            file = folder / kind / f"{moment:%Y/%m/%d/%H}" / "instance.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a") as lines:
                lines.write(event(kind, data, number, moment) + "\n")
        return folder

    return write


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Run the job against a baseline of winds from 0 to 10."""
    numbers = np.linspace(0, 10, 1000)
    (tmp_path / "baseline").mkdir()
    build_profile(pd.DataFrame({"wind": numbers, "prediction": numbers / 100})).write(
        tmp_path / "baseline" / "profile.json"
    )
    threshold = {"metric": "js_divergence", "operator": "<=", "value": 0.1}
    told = {"ENDPOINT": ENDPOINT, "RELEASE": RELEASE, "WINDOW": "1h", "ON_DRIFT": "block-promotion"}
    for name, value in {**told, "THRESHOLDS": json.dumps({"wind": threshold})}.items():
        monkeypatch.setenv(f"MLINFRA_DRIFT_{name}", value)
    folders = [f"--{key}={tmp_path / name}" for key, name in (("capture", "captured"), ("baseline", "baseline"))]
    return lambda: main([*folders, f"--output={tmp_path / 'reports'}"])


def test_a_window_like_the_baseline_is_quiet(run: Callable[[], int], collect: Collect, tmp_path: Path) -> None:
    collect(list(np.linspace(0, 10, 400)))
    assert run() == 0
    report = json.loads((tmp_path / "reports" / "latest.json").read_text())
    assert (report["verdict"], report["release"]) == ("ok", RELEASE)


def test_another_window_fails_the_run_and_blocks(run: Callable[[], int], collect: Collect, tmp_path: Path) -> None:
    collect(list(np.linspace(20, 30, 400)))
    assert run() == 1
    assert (tmp_path / "reports" / "blocked.json").is_file()


def test_no_request_is_no_failure(run: Callable[[], int], collect: Collect) -> None:
    collect(list(np.linspace(20, 30, 400)), release="0123456789ab")
    assert run() == 0


def test_what_is_not_told_is_named(
    run: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLINFRA_DRIFT_WINDOW")
    assert run() == 2
    assert "MLINFRA_DRIFT_WINDOW is not set" in capsys.readouterr().err


def test_pairs_are_found_and_the_rest_is_counted(collect: Collect, tmp_path: Path) -> None:
    folder = collect([1.0, 2.0], number=1)
    collect([3.0], number=2)
    asked = next((folder / "request").rglob("*.jsonl"))
    with asked.open("a") as lines:
        elsewhere = event("request", "https://account.blob.core.windows.net/large", 2, NOW)
        lines.write("\n".join([event("request", {"inputs": []}, 3, NOW), elsewhere, "{", ""]))
    bad = keep(tmp_path / "captured" / ENDPOINT, tmp_path / "kept", RELEASE, parse_window("all", NOW))
    [file] = (tmp_path / "kept" / RELEASE / f"date={NOW:%Y-%m-%d}").iterdir()
    frame = pd.read_parquet(file)
    assert sorted(frame["wind"]) == [1.0, 2.0, 3.0]
    assert sorted(frame["request_id"]) == ["id-1", "id-1", "id-2"]
    assert list(frame["prediction"] * 100) == pytest.approx(list(frame["wind"]))
    assert bad == 2


def test_only_days_of_the_window_are_read(collect: Collect, tmp_path: Path) -> None:
    collect([1.0], moment=NOW - timedelta(days=3))
    collected = tmp_path / "captured" / ENDPOINT
    assert keep(collected, tmp_path / "kept", RELEASE, parse_window("1h", NOW)) == 0
    assert not (tmp_path / "kept").exists()
    keep(collected, tmp_path / "kept", RELEASE, parse_window("96h", NOW))
    assert len(list((tmp_path / "kept").rglob("*.parquet"))) == 1

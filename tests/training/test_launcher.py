"""The launcher, started as the targets start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import psutil
import pytest

from mlinfra.digests import digest_tree
from mlinfra.problems import MlinfraError
from mlinfra.training.contract import Contract
from mlinfra.training.launcher import launch

pytestmark = pytest.mark.local

GOOD = """
    import pandas as pd
    from sklearn.linear_model import LinearRegression
    import mlinfra.training

    run = mlinfra.training.run()
    rows = pd.read_parquet(run.inputs["weather"])
    model = LinearRegression().fit(rows[["x"]], run.params["slope"] * rows["x"])
    run.log_metric("rmse", 0.25)
    run.save_model(model, example=rows[["x"]])
"""


def write_script(tmp_path: Path, text: str) -> Path:
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(text))
    return script


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    folder = tmp_path / "weather"
    folder.mkdir()
    pd.DataFrame({"x": [float(number) for number in range(30)]}).to_parquet(folder / "part-0.parquet")
    return folder


def start(script: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlinfra.training.launcher", *arguments, script.name]
    environment = {**os.environ, **environ}
    return subprocess.run(command, cwd=script.parent, env=environment, capture_output=True, text=True, check=False)


def result_of(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())


def test_a_finished_run_is_described_whole(tmp_path: Path, weather: Path) -> None:
    output = tmp_path / "output"
    done = start(
        write_script(tmp_path, GOOD), "--input", f"weather={weather}", "--param", "slope=2", "--output", str(output)
    )
    assert done.returncode == 0, done.stderr
    result = result_of(output)
    assert result["outcome"] == "finished"
    assert result["metrics"] == {"rmse": 0.25}
    assert result["runtime"] == "sklearn"
    assert result["runtime_version"].split(".")[0].isdigit()
    assert result["model_digest"] == digest_tree(output / "model")
    assert result["baseline_digest"] == digest_tree(output / "baseline")
    assert result["signature"]["inputs"] == [{"name": "x", "type": "FP64", "required": True}]
    assert set(json.loads((output / "baseline" / "profile.json").read_text())["columns"]) == {"x", "prediction"}
    assert result["peak_memory_bytes"] > 20e6
    assert result["seconds"] > 0


def test_sagemaker_gets_model_and_results_where_it_looks(tmp_path: Path, weather: Path) -> None:
    done = start(
        write_script(tmp_path, GOOD),
        SM_CHANNEL_WEATHER=str(weather),
        SM_HPS='{"slope": 2}',
        SM_MODEL_DIR=str(tmp_path / "sm" / "model"),
        SM_OUTPUT_DATA_DIR=str(tmp_path / "sm" / "data"),
    )
    assert done.returncode == 0, done.stderr
    result = result_of(tmp_path / "sm" / "data")
    assert digest_tree(tmp_path / "sm" / "model") == result["model_digest"]
    assert sorted(path.name for path in (tmp_path / "sm" / "data").iterdir()) == [
        "baseline",
        "metrics.json",
        "result.json",
    ]


def test_urls_are_fetched_and_delivered(tmp_path: Path, weather: Path) -> None:
    import fsspec  # type: ignore[import-untyped]

    bucket = f"memory://{uuid4().hex}"
    files = fsspec.filesystem("memory")
    files.put(f"{weather}/", f"{bucket}/in/", recursive=True)
    found = Contract({"weather": f"{bucket}/in"}, {"slope": 2}, f"{bucket}/job/model", f"{bucket}/job/output")
    result = launch(write_script(tmp_path, GOOD), found)
    files.get(f"{bucket}/job/model/", f"{tmp_path}/fetched/", recursive=True)
    assert digest_tree(tmp_path / "fetched") == result["model_digest"]
    assert files.exists(f"{bucket}/job/output/baseline/profile.json")


def test_a_script_that_raises(tmp_path: Path) -> None:
    script = write_script(
        tmp_path, "import mlinfra.training as t; t.run().log_metric('auc', 1); raise ValueError('oops')"
    )
    done = start(script, "--output", str(tmp_path / "output"))
    assert done.returncode == 1
    assert "ValueError: oops" in done.stderr
    result = result_of(tmp_path / "output")
    assert (result["outcome"], result["exit_code"], result["metrics"]) == ("failed", 1, {"auc": 1.0})
    assert result["model_digest"] is None


def test_a_script_without_a_model(tmp_path: Path) -> None:
    done = start(write_script(tmp_path, "print('hello')"), "--output", str(tmp_path / "output"))
    assert done.returncode == 3
    assert "train.py ended without run.save_model" in done.stderr
    assert result_of(tmp_path / "output")["outcome"] == "no model"


def test_a_half_written_model_is_none(tmp_path: Path) -> None:
    script = write_script(
        tmp_path, "import mlinfra.training as t; o = t.run().output / 'model'; o.mkdir(); (o / 'model.joblib').touch()"
    )
    assert start(script, "--output", str(tmp_path / "output")).returncode == 3


def test_mistakes_are_sentences(tmp_path: Path) -> None:
    script = write_script(tmp_path, "")
    missing = start(script, "--input", "weather=/nowhere", "--output", str(tmp_path / "output"))
    assert missing.returncode == 1
    assert missing.stderr == "error: input 'weather': /nowhere does not exist\n"
    with pytest.raises(MlinfraError, match=r"gone\.py: no such training script"):
        launch(tmp_path / "gone.py", Contract({}, {}, "/out/model", "/out"))


def test_everything_stops_when_whoever_started_it_is_gone(tmp_path: Path) -> None:
    script = write_script(
        tmp_path,
        """
        import os, pathlib, time
        pathlib.Path("pid").write_text(str(os.getpid()))
        time.sleep(60)
        """,
    )
    command = [sys.executable, "-m", "mlinfra.training.launcher", "--stop-with-stdin", "--output", "out", script.name]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int((tmp_path / "pid").read_text())
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == -9
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)

"""The repository that `mlinfra init` makes, through every command, with all its processes."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.local

# A proxy that answers nobody: what runs on this machine is asked directly, whatever the environment names.
ENVIRONMENT = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:9"}
ROW = '{"age": 59, "bmi": 32.1, "bp": 101, "log_triglycerides": 4.86}'


def run(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "mlinfra_cli", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository of its own, brought up, and taken down at the end."""
    folder = tmp_path_factory.mktemp("local") / "platform"
    run(folder.parent, "init", str(folder))
    try:
        first = run(folder, "up", "dev")
        (folder / "first.txt").write_text(first.stdout)
        (folder / "progress.txt").write_text(first.stderr)
        yield folder
    finally:
        run(folder, "down", "dev", "--destroy-data", "--yes")


def test_the_first_up_tells_what_it_does_and_what_serves(platform: Path) -> None:
    progress = (platform / "progress.txt").read_text()
    for line in (r"^training diabetes$", r"^  created  ModelVersion diabetes-", r"^  created  Server diabetes-"):
        assert re.search(line, progress, re.MULTILINE), progress
    assert "\x1b" not in progress
    summary = (platform / "first.txt").read_text()
    assert re.search(r"^diabetes: run \S+ accepted, trained in .*; r2 0\.4\d+ \(>= 0\.4\)$", summary, re.MULTILINE)
    assert re.search(r"^diabetes +[0-9a-f]{12} +100 % +healthy +http://127\.0\.0\.1:\d+$", summary, re.MULTILINE)


def test_the_lines_of_the_summary_work_as_they_are(platform: Path) -> None:
    curl, predict = [line.strip() for line in (platform / "first.txt").read_text().splitlines()][-2:]
    assert max(len(curl), len(predict)) < 150
    answer = json.loads(subprocess.run(["bash", "-c", curl], cwd=platform, capture_output=True, check=True).stdout)
    value = answer["outputs"][0]["data"][0]
    assert 25 < value < 346
    shown = run(platform, *shlex.split(predict)[1:]).stdout
    assert float(shown.splitlines()[0]) == value


def test_a_second_up_changes_nothing(platform: Path) -> None:
    done = run(platform, "up", "dev")
    assert "dev is up: nothing changed, 6 as before" in done.stdout
    assert "the same inputs as before, adopted" in done.stdout
    assert run(platform, "plan", "dev").stdout == (
        "plan for dev on local, offline\n\nnothing changes: 6 resources as at the last up\n"
    )


def test_predict_says_which_release_answered(platform: Path) -> None:
    status = json.loads(run(platform, "status", "dev", "--json").stdout)["endpoints"][0]
    answer = json.loads(run(platform, "predict", "dev", ROW, "--json").stdout)
    assert answer["release"] == status["releases"][0]["release"]
    assert status["wanted"].startswith(f"sha256:{answer['release']}")
    assert set(answer) == {
        "version", "environment", "endpoint", "release", "request_id", "milliseconds", "predictions",
    }  # fmt: skip
    shown = run(platform, "predict", "dev", ROW)
    number, line = shown.stdout.splitlines()
    assert float(number) == pytest.approx(answer["predictions"][0])
    assert line.startswith(f"release {answer['release']} of diabetes answered in ")


def test_predict_names_what_does_not_fit(platform: Path) -> None:
    said = run(platform, "predict", "dev", ROW.replace("59", '"old"'), code=2).stderr
    assert said == "error: these values do not fit the model's inputs\nrow 1, age: found 'old', expected FP64\n"
    said = run(platform, "predict", "dev", '{"age": 59, "bmy": 3}', code=2).stderr
    assert said.startswith("error: diabetes answered 400: input 'bmi'[0]: found null, expected FP64: it is required")
    said = run(platform, "predict", "dev", ROW.replace("{", '{"name": "x", ')).stderr
    assert said == "not sent: the model has no input name\n"


def test_drift_without_enough_rows_is_no_data(platform: Path) -> None:
    said = run(platform, "drift", "dev", "--window", "all", code=4).stdout
    assert said.startswith("diabetes: no data\n")
    assert json.loads(run(platform, "drift", "dev", "--json", code=4).stdout)["verdict"] == "no data"


def test_logs_of_a_server(platform: Path) -> None:
    assert re.search(
        r"^==> endpoints\.diabetes: .*\.log <==\n", run(platform, "logs", "dev", "endpoints.diabetes").stdout
    )


def test_ctrl_c_in_up_is_one_line_and_the_next_up_goes_on(platform: Path) -> None:
    stack = platform / "stacks" / "diabetes" / "stack.py"
    stack.write_text(stack.read_text().replace("percent=100", "percent=50"))
    process, terminal = pty.fork()
    if not process:
        os.chdir(platform)
        os.environ.update(TERM="xterm", COLUMNS="100")
        for name in ("CI", "NO_COLOR"):
            os.environ.pop(name, None)
        os.execv(sys.executable, [sys.executable, "-m", "mlinfra_cli", "up", "dev"])
    shown, sent = b"", False
    while piece := _read(terminal):
        shown += piece
        if b"creating" in shown and not sent:
            sent = True
            time.sleep(0.2)
            os.kill(process, signal.SIGINT)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "\n")
    assert code == 130, text
    assert "interrupting: what has begun is brought to an end first; once more ends it at once\n" in text
    assert text.strip().endswith("interrupted; `mlinfra up dev` goes on from here")
    assert "Traceback" not in text
    assert "dev is up: " in run(platform, "up", "dev").stdout
    assert json.loads(run(platform, "status", "dev", "--json").stdout)["endpoints"][0]["as_wanted"]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that the other side is gone
        return b""

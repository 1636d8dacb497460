"""The job on a schedule: through failures, clock jumps and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mlinfra.problems import MlinfraError
from mlinfra_serving.drift import job, parse_thresholds
from mlinfra_serving.drift.actions import OnDrift

RELEASE = "3f9c2ab1"
TEMP = {"temp": {"metric": "js_divergence", "operator": "<=", "value": 0.1}}
JULY = "2013-07-01..2013-08-01"


@pytest.fixture
def watched(tmp_path: Path, baseline: Path, captured: Path) -> job.Job:
    thresholds = parse_thresholds(TEMP)
    return job.Job(
        "flight-delay", baseline, captured, RELEASE, thresholds, JULY, tmp_path / "out", OnDrift("log")
    )  # fmt: skip


def test_a_run_that_fails_is_tried_again_at_the_next_time(
    watched: job.Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop, calls = threading.Event(), []

    def run_badly(this: job.Job, now: datetime) -> None:
        calls.append(now)
        if len(calls) == 1:
            raise MlinfraError("the disk is full", remedy="make room")
        if len(calls) == 2:
            raise ZeroDivisionError
        stop.set()

    monkeypatch.setattr(job, "run", run_badly)
    job.keep_running(watched, 1, stop, clock=lambda: 100.0 + len(calls))
    assert len(calls) == 3
    assert "the disk is full" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_the_schedule_does_not_follow_the_wall_clock_and_skips_what_it_missed(
    watched: job.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of 10, 10, 150 and 10 s on a schedule of 60 s, while the wall clock jumps by a year back and forth."""
    steady, walls, begun = [1000.0], [], []
    lengths = iter([10.0, 10.0, 150.0, 10.0])
    jumps = iter([0, -365, 365, 0])

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            walls.append(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=next(jumps)))
            return walls[-1]

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            steady[0] += timeout
            return self.is_set()

    stop = Stop()

    def run(this: job.Job, now: datetime) -> None:
        begun.append(steady[0] - 1000)
        steady[0] += next(lengths)
        if len(begun) == 4:
            stop.set()

    monkeypatch.setattr(job, "datetime", Clock)
    monkeypatch.setattr(job, "run", run)
    job.keep_running(watched, 60, stop, clock=lambda: steady[0])
    assert begun == [0, 60, 120, 300]
    assert len(walls) == 4


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.local
def test_told_to_stop_it_finishes_the_run_and_leaves(tmp_path: Path, baseline: Path, captured: Path) -> None:
    output = tmp_path / "out"
    command = [
        sys.executable, "-m", "mlinfra_serving.drift", "--endpoint", "flight-delay", "--baseline", str(baseline),
        "--capture", str(captured), "--release", RELEASE, "--thresholds", json.dumps(TEMP), "--window", JULY,
        "--every", "1s", "--output", str(output),
    ]  # fmt: skip
    output.mkdir()
    lock = FileLock(output / job.LOCK_FILE)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for(lambda: len(list(output.glob("2*.json"))) >= 2)
            # between two runs: the lock is held here, so the next run is waiting inside when the signal comes
            with lock:
                seen = len(list(output.glob("2*.json")))
                time.sleep(1.5)
                process.send_signal(signal.SIGTERM)
                time.sleep(0.2)
                assert process.poll() is None
            assert process.wait(timeout=30) == 0
            assert len(list(output.glob("2*.json"))) == seen + 1
        finally:
            process.kill()
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read().count("flight-delay, release 3f9c2ab1: drift") == seen + 1
        assert "Traceback" not in process.stderr.read()

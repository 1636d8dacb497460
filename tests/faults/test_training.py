"""Training goes wrong: the message holds the last lines of the log, what serves goes on, a mended script works."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.repository import Ended, Repository

pytestmark = [pytest.mark.engine, pytest.mark.local]

RAISES = """\
import mlinfra.training

run = mlinfra.training.run()
print("read nothing")
raise ValueError("no rows of last week")
"""

HANGS = """\
import time

print("waiting for rows", flush=True)
time.sleep(600)
"""

WRITES_NO_MODEL = """\
import mlinfra.training

run = mlinfra.training.run()
run.log_metric("r2", 1.0)
print("all done")
"""

TAKES_TOO_MUCH = """\
import time

print("taking memory", flush=True)
taken = bytearray(1 << 30)
for place in range(0, len(taken), 4096):
    taken[place] = 1
time.sleep(600)
"""


def _records(repository: Repository) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in repository.layout.runs.glob("tiny/*/*/record.json")]


def _went_wrong(repository: Repository, ended: Ended, outcome: str, *lines: str) -> None:
    assert ended.code == 1, ended.seen
    message = ended.stderr[ended.stderr.index("error: ") :]
    assert message.startswith(f"error: training tiny ended: {outcome}\n")
    for line in lines:
        assert line in message
    assert "mlinfra logs dev training_jobs.tiny" in message
    assert "--retrain" in message
    assert repository.answers()
    [record] = [record for record in _records(repository) if record["outcome"] == outcome]
    assert not record["accepted"]
    assert record["log_tail"]


def _mended(repository: Repository, command: str) -> None:
    repository.train_well()
    repository.declare(max_runtime="1m", memory_gib=1.0)
    ended = repository.run(command, "dev")
    assert ended.code == 0, ended.seen
    repository.assert_well()


def test_a_script_that_raises(well: Repository) -> None:
    serving = well.status()["releases"]
    well.train_with(RAISES)
    ended = well.run("up", "dev", script_raises=True)
    _went_wrong(well, ended, "failed", "read nothing", "ValueError: no rows of last week", "stacks/tiny/train.py")
    assert well.status()["releases"] == serving
    again = well.run("up", "dev", script_raises=True)
    assert again.code == 1
    assert "ValueError: no rows of last week" in again.stderr
    _mended(well, "up")
    assert well.status()["releases"] == serving


def test_a_script_that_hangs(well: Repository) -> None:
    well.train_with(HANGS)
    well.declare(max_runtime="3s")
    ended = well.run("train", "dev")
    _went_wrong(well, ended, "timed out", "waiting for rows", "train.py did not end within 3 s")
    _mended(well, "train")


def test_a_script_that_writes_no_model(well: Repository) -> None:
    well.train_with(WRITES_NO_MODEL)
    ended = well.run("train", "dev")
    _went_wrong(well, ended, "no model", "all done", "ended without run.save_model")
    _mended(well, "train")


def test_a_script_that_takes_too_much_memory(well: Repository) -> None:
    well.train_with(TAKES_TOO_MUCH)
    well.declare(memory_gib=0.25)
    ended = well.run("train", "dev")
    _went_wrong(well, ended, "out of memory", "taking memory", "0.25 GiB are allowed")
    _mended(well, "train")

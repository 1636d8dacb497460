"""What drives a change is killed in the middle of it; nothing goes on in secret, and the next `up` completes it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from tests.faults.repository import Command, Repository, until

pytestmark = [pytest.mark.engine, pytest.mark.local]


def _up_that_makes_a_server(repository: Repository) -> Command:
    """Start an `up`, and return it when the server that it makes is known to the supervisor and not ready yet."""
    known = set(repository.programs())
    repository.another_server()
    command = repository.start("up", "dev")

    def begun() -> bool:
        assert command.runs(), command.wait().seen
        return any(name.startswith("server/") for name in set(repository.programs()) - known)

    until(begun, "a new server begins")
    return command


def _family(command: Command) -> list[psutil.Process]:
    """Return the engine, the language host, the program and the plugin that a command started."""
    found: list[psutil.Process] = command.process.children(recursive=True)
    assert any(_is_engine(each) for each in found)
    assert any("pulumi-resource-mlinfra" in " ".join(each.cmdline()) for each in found)
    return found


def _is_engine(process: psutil.Process) -> bool:
    return process.name() == "pulumi"


def _gone(processes: list[psutil.Process]) -> bool:
    return not [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def _completed(repository: Repository) -> None:
    assert repository.answers()
    repository.up()
    repository.assert_well()


def test_an_engine_that_is_killed(well: Repository) -> None:
    command = _up_that_makes_a_server(well)
    family = _family(command)
    [engine] = [each for each in family if _is_engine(each)]
    engine.send_signal(signal.SIGKILL)
    ended = command.wait()
    assert ended.code == 1, ended.seen
    assert "engine was killed" in ended.stderr
    assert "mlinfra up dev" in ended.stderr
    until(lambda: _gone(family), "everything that the engine started ends")
    assert well.locked()
    well.another_server()  # the one that was begun is now wanted by nobody
    _completed(well)


def test_a_command_that_is_killed(well: Repository) -> None:
    command = _up_that_makes_a_server(well)
    family = _family(command)
    command.process.send_signal(signal.SIGKILL)
    until(lambda: _gone(family), "everything that the command started ends")
    _completed(well)


def test_a_plugin_that_is_killed(well: Repository) -> None:
    command = _up_that_makes_a_server(well)
    family = _family(command)
    [plugin] = [each for each in family if "pulumi-resource-mlinfra" in " ".join(each.cmdline())]
    plugin.send_signal(signal.SIGKILL)
    ended = command.wait()
    assert ended.code == 1, ended.seen
    assert "the plugin that makes it was killed" in ended.stderr
    assert "provider author" not in ended.stderr
    assert "mlinfra up dev goes on from here" in ended.stderr
    _completed(well)


def _lock(repository: Repository, *, pid: int, host: str, taken: float) -> None:
    repository.locks.mkdir(parents=True, exist_ok=True)
    path = repository.locks / f"{uuid.uuid4()}.json"
    stamp = datetime.fromtimestamp(taken, UTC).isoformat()
    path.write_text(json.dumps({"pid": pid, "username": "someone", "hostname": host, "timestamp": stamp}))
    os.utime(path, (taken, taken))


def test_locks_of_runs_that_are_no_more(well: Repository, tmp_path: Path) -> None:
    """Their pids belong to others by now: to this test, and to a younger engine."""
    here, long_ago = platform.node(), time.time() - 3600
    younger = tmp_path / "pulumi"
    shutil.copy(shutil.which("sleep") or "", younger)
    with subprocess.Popen([younger, "60"]) as engine:
        _lock(well, pid=os.getpid(), host=here, taken=time.time())
        _lock(well, pid=engine.pid, host=here, taken=long_ago)
        for name in ("half.json", "nothing.json.18ea49ec2dbb90a5.tmp"):  # of a disk without room
            (well.locks / name).write_text('{"pid": 1' if name == "half.json" else "")
            os.utime(well.locks / name, (long_ago, long_ago))
        _completed(well)
        engine.kill()


def test_a_lock_of_another_machine(well: Repository) -> None:
    _lock(well, pid=4711, host="elsewhere", taken=time.time())
    ended = well.run("up", "dev")
    assert ended.code == 1, ended.seen
    assert "another run holds the lock of dev" in ended.stderr
    assert "someone@elsewhere (pid 4711)" in ended.stderr
    assert "pulumi cancel --stack dev" in ended.stderr
    assert well.answers()
    for path in well.locked():
        path.unlink()
    well.assert_well()

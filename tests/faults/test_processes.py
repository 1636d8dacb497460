"""Processes of the endpoint die; they come back without anybody doing anything, and `status` says what is true."""

from __future__ import annotations

import signal

import psutil
import pytest

from mlinfra_providers.local import processes
from tests.faults.repository import Repository, until

pytestmark = [pytest.mark.engine, pytest.mark.local]


def _kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)
    psutil.wait_procs([process], timeout=10)


def _kill_program(repository: Repository, name: str) -> int:
    pid = repository.programs()[name].pid
    assert pid is not None
    _kill(psutil.Process(pid))
    return pid


def _healed(repository: Repository) -> None:
    until(repository.answers, "the endpoint answers")
    until(lambda: repository.status()["as_wanted"], "status says that it is as wanted")
    repository.assert_well()


def test_a_killed_server_comes_back(well: Repository) -> None:
    name = well.server().name
    before = _kill_program(well, name)
    during = well.status()
    assert during["url"] is not None
    assert during["as_wanted"] == during["releases"][0]["healthy"]
    _healed(well)
    assert well.programs()[name].pid != before


def test_a_killed_router_comes_back(well: Repository) -> None:
    port = well.status()["url"]
    before = _kill_program(well, "router/tiny")
    _healed(well)
    assert well.programs()["router/tiny"].pid != before
    assert well.status()["url"] == port


def test_a_killed_supervisor_comes_back(well: Repository) -> None:
    [before] = well.supervisor()
    _kill(before)
    _healed(well)
    [now] = well.supervisor()
    assert now != before


def _guardian(repository: Repository) -> list[psutil.Process]:
    return [each for each in processes.of_environment(repository.layout) if "guardian.py" in " ".join(each.cmdline())]


def test_a_killed_guardian_comes_back(well: Repository) -> None:
    [before] = _guardian(well)
    _kill(before)
    until(lambda: _guardian(well) not in ([], [before]), "the guardian comes back")
    well.assert_well()


def test_supervisor_and_guardian_killed_together(well: Repository) -> None:
    """Nobody is left to notice it; nothing runs on alone, `status` says so, and `up` brings all of it back."""
    killed = [*_guardian(well), *well.supervisor()]
    for each in killed:
        each.suspend()
    for each in killed:
        _kill(each)
    until(lambda: not processes.of_environment(well.layout), "everything ends with its supervisor")
    status = well.status()
    assert not status["as_wanted"]
    assert status["url"] is None
    again = well.up()
    assert "started again" in again.stderr
    well.assert_well()

"""Processes of the endpoint die; they come back without anybody doing anything, and `status` says what is true."""

from __future__ import annotations

import signal

import psutil
import pytest

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
    answered = well.answers()
    if not during["as_wanted"]:
        assert not during["releases"][0]["healthy"]
        assert during["url"] is not None
    _healed(well)
    assert well.programs()[name].pid != before
    assert not answered or during["as_wanted"] or well.answers()


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

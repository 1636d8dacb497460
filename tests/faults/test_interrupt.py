"""Ctrl-C in `up` at three moments: it ends with one line, nothing goes on in secret, and `up` goes on from there."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from tests.faults.repository import Command, Ended, Repository, until

pytestmark = [pytest.mark.engine, pytest.mark.local]


def _interrupted(command: Command, moment: Callable[[], object], what: str, *, group: bool, times: int = 1) -> Ended:
    until(lambda: not command.runs() or moment(), what)
    assert command.runs(), command.wait().seen
    family: list[psutil.Process] = command.process.children(recursive=True)
    for _ in range(times):
        command.interrupt(group=group)
    ended = command.wait()
    assert ended.code == 130, ended.seen
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[-1] == "interrupted; `mlinfra up dev` goes on from here"
    assert "error" not in ended.stderr
    until(lambda: not [each for each in family if each.is_running()], "all that it started has ended")
    return ended


def _engine(command: Command) -> Callable[[], object]:
    return lambda: command.child("pulumi-resource-mlinfra")


def _new_server(repository: Repository) -> Callable[[], object]:
    known = set(repository.programs())
    return lambda: [name for name in set(repository.programs()) - known if name.startswith("server/")]


def _through_all_moments(repository: Repository, *, groups: tuple[bool, bool, bool]) -> None:
    before = repository.status()["wanted"]
    repository.another_model()

    command = repository.start("up", "dev")
    ended = _interrupted(command, _engine(command), "features and definitions are declared", group=groups[0])
    assert "declaring features and definitions" in ended.stderr
    assert "training" not in ended.stderr

    repository.hold.touch()
    command = repository.start("up", "dev")
    ended = _interrupted(command, lambda: "held" in command.stderr(), "training begins", group=groups[1])
    repository.hold.unlink()
    assert "applying" not in ended.stderr
    assert not list(repository.layout.runs.glob("tiny/*/*/record.json.tmp"))
    assert repository.answers()
    assert repository.status()["wanted"] == before

    command = repository.start("up", "dev")
    ended = _interrupted(command, _new_server(repository), "a server is made", group=groups[2])
    assert "a run was interrupted; starting it again" in ended.stderr
    assert repository.answers()

    again = repository.up()
    assert "adopted" in again.stdout
    repository.assert_well()
    assert repository.status()["wanted"] != before


def test_at_three_moments(well: Repository) -> None:
    """As a terminal does it: all processes of the group get it; in training, the command alone."""
    _through_all_moments(well, groups=(True, False, True))


@pytest.mark.long
def test_at_three_moments_the_other_way_round(well: Repository) -> None:
    _through_all_moments(well, groups=(False, True, False))


def test_twice_in_a_moment(well: Repository) -> None:
    well.another_server()
    command = well.start("up", "dev")
    _interrupted(command, _new_server(well), "a server is made", group=True, times=2)
    assert well.answers()
    well.up()
    well.assert_well()


@pytest.mark.parametrize("group", [True, pytest.param(False, marks=pytest.mark.long)])
def test_before_anything_began(well: Repository, group: bool) -> None:
    command = well.start("up", "dev")
    _interrupted(command, lambda: "reading declarations" in command.stderr(), "it begins", group=group)
    well.assert_well()

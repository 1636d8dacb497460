"""Two commands at once in the same environment: one wins, the other says so, and nothing is broken."""

from __future__ import annotations

import pytest

from tests.faults.repository import Ended, Repository, until

pytestmark = [pytest.mark.engine, pytest.mark.local]


def _refused(ended: Ended, other: str, pid: int) -> None:
    assert ended.code == 1, ended.seen
    assert f"another run holds the lock of dev: {other} (pid {pid})" in ended.stderr
    assert "wait for it to end" in ended.stderr


def test_while_an_up_works(well: Repository) -> None:
    well.another_server()
    up = well.start("up", "dev")
    until(lambda: up.child("pulumi-resource-mlinfra"), "the engine works")
    for command in ("up", "down"):
        _refused(well.run(command, "dev"), "mlinfra up dev", up.process.pid)
    ended = up.wait()
    assert ended.code == 0, ended.seen
    well.assert_well()


def test_two_ups_that_start_together(well: Repository) -> None:
    commands = [well.start("up", "dev"), well.start("up", "dev")]
    ended = {command.process.pid: command.wait() for command in commands}
    first, second = sorted(ended, key=lambda pid: ended[pid].code)
    assert ended[first].code == 0, ended[first].seen
    _refused(ended[second], "mlinfra up dev", first)
    well.assert_well()


@pytest.mark.long
def test_while_a_down_works(well: Repository) -> None:
    down = well.start("down", "dev")
    until(lambda: down.child("pulumi-resource-mlinfra"), "the engine works")
    _refused(well.run("up", "dev"), "mlinfra down dev", down.process.pid)
    ended = down.wait()
    assert ended.code == 0, ended.seen
    well.up()
    well.assert_well()


def test_two_trainings(well: Repository) -> None:
    """The second waits for the first, and adopts what it made."""
    before = well.slope
    well.another_model()
    well.hold.touch()
    first = well.start("train", "dev")
    until(lambda: "held" in first.stderr(), "the first one trains")
    second = well.start("train", "dev")
    until(lambda: "waiting for it" in second.stderr(), "the second one waits")
    well.hold.unlink()
    trained, adopted = first.wait(), second.wait()
    assert (trained.code, adopted.code) == (0, 0), trained.seen + adopted.seen
    assert "trained in" in trained.stdout
    assert "the same inputs as before, adopted" in adopted.stdout
    well.earlier_model(before)
    well.assert_well()

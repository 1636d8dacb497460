"""Two that work on one environment at the same time: each ends, and what serves is what one of them wished."""

from __future__ import annotations

import time

import pytest

from mlinfra.operations.alone import alone
from mlinfra.repository import Repository
from tests.rollouts.load import load
from tests.rollouts.world import ENV, World

pytestmark = [pytest.mark.engine, pytest.mark.local]

ROUNDS = 10


def test_two_ticks(world: World) -> None:
    with load(world, ENV) as told:
        both = [world.start("tick", ENV), world.start("tick", ENV)]
        for ended in [command.wait() for command in both]:
            assert ended.code in (0, 4) or "another run holds the lock" in ended.said, ended.said
    assert told.failures == []
    assert told.exceeded(world.new.short) == []
    shares = told.shares(world.new.short)
    assert shares == sorted(shares)


def test_what_fails_goes_back_while_a_long_run_holds_the_environment(world: World) -> None:
    world.climb_to(0)
    with load(world, ENV) as told, alone(Repository(world.folder), ENV, "a training of hours"):
        time.sleep(1)
        assert world.tick().code == 4
        assert world.weights()[world.new.short] == 10  # it may not go on
        world.gate("fail")
        ended = world.tick()
        assert ended.code == 1, ended.said
        assert world.weights() == {world.old.short: 100}
    assert told.failures == []
    assert told.last == world.old.short


def test_what_a_person_starts_waits_for_a_tick_and_not_for_another_person(world: World) -> None:
    for holder, code, said in (("mlinfra tick prod", 4, "waiting for"), ("mlinfra up prod", 1, "another run holds")):
        with alone(Repository(world.folder), ENV, holder):
            command = world.start("up", ENV)
            time.sleep(2)
        ended = command.wait()
        assert ended.code == code, ended.said
        assert f"{said} {holder}" in ended.said or f"{said} the lock of {ENV}: {holder}" in ended.said


@pytest.mark.long
def test_two_ticks_and_a_rollback_in_many_rounds(world: World) -> None:
    with load(world, ENV) as told:
        for _ in range(ROUNDS):
            world.again()
            world.climb_to(1)
            commands = [
                world.start("tick", ENV),
                world.start("rollback", ENV, "--reason", "slow answers"),
                world.start("tick", ENV),
            ]
            ticked, back, other = [command.wait() for command in commands]
            for ended in (ticked, other):
                assert ended.code in (0, 1, 4), ended.said
            assert "serves everything" in back.said, back.said
            # a tick that began before the lock was changed sees the rollback in what is remembered
            assert world.weights() == {world.old.short: 100}
            world.turn()
            assert world.weights() == {world.old.short: 100}
    assert told.failures == []

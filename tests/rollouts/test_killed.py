"""Whatever is killed, and whenever: no answer is lost, no release has more than its step, and it ends right."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from mlinfra.rollout.record import Phase
from mlinfra_providers.local import ticker
from tests.faults.repository import until
from tests.rollouts.load import Load, load
from tests.rollouts.world import ENV, World

pytestmark = [pytest.mark.engine, pytest.mark.local]

KILLS = 15
LONGEST_SECONDS = 6.0
"""Longer than a tick takes on a quiet machine: a kill meets each of its states."""


def assert_unharmed(told: Load, world: World) -> None:
    """Nobody was left without an answer, and the new release never had more than its step."""
    assert told.failures == []
    assert told.exceeded(world.new.short) == []


@pytest.mark.long
def test_killed_at_any_moment_the_next_tick_goes_on(world: World) -> None:
    chosen = random.Random(20261122)
    with load(world, ENV) as told:
        for number in range(KILLS):
            if world.weights() == {world.new.short: 100}:
                world.again()
            command = world.start(*(["up", ENV] if number % 4 == 3 else ["tick", ENV]))
            time.sleep(chosen.uniform(0.3, LONGEST_SECONDS))
            command.kill()
            assert set(world.weights()) <= {world.old.short, world.new.short}
        ended = world.tick_to_the_end()
    assert ended.code == 0, ended.said
    assert_unharmed(told, world)
    assert told.last == world.new.short
    world.mlinfra("up", ENV)
    world.mlinfra("verify", ENV)


@pytest.mark.long
def test_killed_while_a_release_is_deployed_beside(world: World) -> None:
    chosen = random.Random(6)
    world.pin(world.third, world.old)
    try:
        with load(world, ENV) as told:
            for _ in range(4):
                command = world.start("up", ENV)
                time.sleep(chosen.uniform(1, 2 * LONGEST_SECONDS))
                command.kill()
            ended = world.tick_to_the_end()
            assert ended.code == 0, ended.said
        assert told.failures == []
        assert told.exceeded(world.third.short) == []
        assert world.weights() == {world.third.short: 100}
        world.mlinfra("up", ENV)
        world.mlinfra("verify", ENV)
    finally:
        world.serve(world.old)
        world.pin(world.old, world.new)
        world.run("up", ENV)


def test_killed_and_never_started_again_the_ticker_ends_the_exposure(world: World) -> None:
    world.environment(tick_every="1s", bake="1h")
    world.supervisor(ENV).restart(ticker.NAME)
    try:
        with load(world, ENV) as told:
            world.climb_to(0)
            command = world.start("tick", ENV)
            command.kill()
            world.gate("fail")
            until(lambda: world.record().phase is Phase.FAILED, "the ticker")
            gone = time.monotonic()
            time.sleep(1)
        assert_unharmed(told, world)
        assert told.answered_by(world.new.short, since=gone) == []
        assert told.last == world.old.short
    finally:
        world.environment()
        world.supervisor(ENV).restart(ticker.NAME)


@pytest.mark.parametrize("step", [0, pytest.param(1, marks=pytest.mark.long), 2])
def test_the_server_of_the_new_release_is_killed(world: World, step: int) -> None:
    with load(world, ENV) as told:
        world.climb_to(step)
        _kill(world, world.program(world.new))
        ended = world.turn_until(lambda standing: not standing.waits)
    assert not ended.stopped
    assert_unharmed(told, world)
    assert world.weights() == {world.new.short: 100}


@pytest.mark.parametrize("step", [0, pytest.param(1, marks=pytest.mark.long), 2])
def test_the_server_of_the_old_release_is_killed(world: World, step: int) -> None:
    with load(world, ENV) as told:
        world.climb_to(step)
        killed = time.monotonic()
        _kill(world, world.program(world.old))
        world.turn_until(lambda standing: not standing.waits)
    # a release on trial stands in for nobody: until the old one is there again, nobody answers its share
    assert [sent for sent in told.lost if sent < killed - 1] == []
    assert step < 2 or told.failures == []
    assert told.exceeded(world.new.short) == []
    assert world.weights() == {world.new.short: 100}


@pytest.mark.parametrize("step", [0, pytest.param(1, marks=pytest.mark.long), pytest.param(2, marks=pytest.mark.long)])
def test_envoy_is_killed(world: World, step: int) -> None:
    with load(world, ENV) as told:
        world.climb_to(step)
        _kill(world, f"router/{world.router(ENV).endpoint}")
        world.turn_until(lambda standing: not standing.waits and bool(world.weights()))
    # clients meet a closed port until it is there again, and never another split
    assert told.exceeded(world.new.short) == []
    assert world.weights() == {world.new.short: 100}


def _kill(world: World, program: str) -> None:
    """Kill a program, and wait until another process has taken its place."""
    pid = world.programs(ENV)[program]
    os.kill(pid, signal.SIGKILL)
    until(lambda: world.programs(ENV).get(program, pid) != pid, f"{program} again")

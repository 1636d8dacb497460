"""A release takes its traffic step by step while clients ask all the time."""

from __future__ import annotations

import pytest

from mlinfra.operations.rollout import Asked
from mlinfra.rollout.record import Phase, moment
from tests.rollouts.load import Load, load
from tests.rollouts.world import ENV, STEPS, World

pytestmark = [pytest.mark.engine, pytest.mark.local]


def assert_unharmed(told: Load, world: World) -> None:
    """Nobody was left without an answer, and the new release never had more than its step."""
    assert told.requests > 0
    assert told.failures == []
    assert told.exceeded(world.new.short) == []


def test_it_climbs_by_its_steps_and_nothing_is_lost(world: World) -> None:
    with load(world, ENV) as told:
        assert world.run("up", ENV).code == 4
        status = world.status()
        assert not status["as_wanted"]
        assert (status["rollout"]["phase"], status["rollout"]["step"]) == ("step", 0)
        split = {item["release"]: item["weight"] for item in status["releases"]}
        assert split == {world.new.short: 10, world.old.short: 90}
        world.mlinfra("verify", ENV)  # what serves is what the step says
        world.climb_to(2)
        ended = world.tick_to_the_end()
        assert ended.code == 0, ended.said
    assert_unharmed(told, world)
    assert told.shares(world.new.short) == [0, *STEPS]
    assert told.last == world.new.short
    assert world.record().phase is Phase.SERVED
    assert world.record().verified
    world.mlinfra("up", ENV)  # what is declared beside the split follows
    generation = world.serving().generation
    assert "nothing changed" in world.mlinfra("up", ENV).stdout
    assert world.serving().generation == generation
    world.mlinfra("verify", ENV)


@pytest.mark.parametrize("step", [0, pytest.param(1, marks=pytest.mark.long), 2])
def test_a_failed_gate_takes_it_back_at_once_and_it_is_not_tried_again(world: World, step: int) -> None:
    with load(world, ENV) as told:
        world.climb_to(step)
        world.gate("fail")
        ended = world.tick()
        assert ended.code == 1, ended.said
        assert "the file says so" in ended.said
        assert world.weights() == {world.old.short: 100}
        generation = world.serving().generation
        world.gate("pass")
        again = world.tick()
        assert again.code == 1, again.said
        assert "--retry" in again.said
        assert world.serving().generation == generation
        assert world.record().failure(world.new.short)
        retried = world.turn(Asked(retry=True))
        assert (retried.waits, world.weights()[world.new.short]) == (True, STEPS[0])
        assert world.record().failure(world.new.short) is None
    assert_unharmed(told, world)
    assert told.shares(world.new.short) == [0, *STEPS[: step + 1], 0, STEPS[0]]


@pytest.mark.long
def test_up_tries_it_again_when_asked(world: World) -> None:
    world.gate("fail")
    assert world.turn().stopped
    assert world.run("up", ENV).code == 1
    assert world.weights() == {world.old.short: 100}
    world.gate("pass")
    ended = world.run("up", ENV, "--retry")
    assert ended.code in (0, 4), ended.said
    assert world.weights().get(world.new.short, 0) >= STEPS[0]


def test_without_an_answer_it_waits_until_the_deadline_and_goes_back(world: World) -> None:
    world.environment(patience="3s")
    world.gate("silent")
    with load(world, ENV) as told:
        waited = world.turn_until(lambda standing: "no data" in getattr(standing.due, "says", ""))
        assert waited.waits
        assert world.weights()[world.new.short] == STEPS[0]
        assert world.turn_until(lambda standing: not standing.waits).stopped
    assert_unharmed(told, world)
    assert told.shares(world.new.short) == [0, 10, 0]
    failure = world.record().failure(world.new.short)
    assert failure is not None
    assert "no data" in failure.reason


def test_an_answer_that_comes_in_time_is_enough(world: World) -> None:
    world.gate("silent")
    world.turn_until(lambda standing: "no data" in getattr(standing.due, "says", ""))
    world.gate("late")
    assert not world.turn_until(lambda standing: not standing.waits).stopped
    assert world.weights() == {world.new.short: 100}


def test_a_step_is_watched_from_its_own_beginning_however_long_gates_take(world: World) -> None:
    world.gate("late")
    world.climb_to(1)
    # the last time it was asked about the second step already
    passed = float((world.folder / "answered").read_text().split()[-2])
    assert moment(world.record().since).timestamp() >= passed

"""What somebody changed in the middle: the split, the lock, the clock, the model itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlinfra.rollout.record import moment, stamp
from tests.rollouts.load import load
from tests.rollouts.world import ENV, World

pytestmark = [pytest.mark.engine, pytest.mark.local]


def digits(digest: str) -> str:
    """Return a digest without the name of its algorithm."""
    return digest.removeprefix("sha256:")


def test_more_than_its_step_is_put_right(world: World) -> None:
    world.climb_to(0)
    world.shift({world.new.short: 60, world.old.short: 40})
    world.turn()
    assert world.weights() == {world.new.short: 10, world.old.short: 90}


def test_less_than_its_step_pauses_it_until_somebody_goes_on(world: World) -> None:
    world.environment(bake="2s")
    world.climb_to(0)
    world.shift({world.old.short: 100})
    assert "paused" in getattr(world.turn().due, "says", "")
    assert world.weights() == {world.old.short: 100}
    world.mlinfra("rollout", "resume", ENV)
    world.turn_until(lambda standing: not standing.waits)
    assert world.weights() == {world.new.short: 100}


def test_a_paused_one_goes_back_at_its_deadline(world: World) -> None:
    world.environment(patience="3s")
    world.climb_to(0)
    world.mlinfra("rollout", "pause", ENV, "--reason", "looking at it")
    with load(world, ENV) as told:
        assert world.turn_until(lambda standing: not standing.waits).stopped
    assert told.failures == []
    assert world.weights() == {world.old.short: 100}


def test_finished_by_hand_it_has_everything(world: World) -> None:
    world.environment(bake="5m")
    world.climb_to(0)
    with load(world, ENV) as told:
        world.mlinfra("rollout", "finish", ENV, "--reason", "checked by hand")
    assert told.failures == []
    assert told.last == world.new.short
    assert world.turn().due.__class__.__name__ == "Done"


def test_a_step_that_began_in_the_future_begins_anew(world: World) -> None:
    world.climb_to(0)
    ahead = datetime.now(UTC) + timedelta(hours=1)
    times = {"since": stamp(ahead), "until": stamp(ahead), "deadline": stamp(ahead)}
    world.shift(world.weights(), world.record().model_copy(update=times))
    world.turn()
    assert moment(world.record().since) < datetime.now(UTC) + timedelta(minutes=1)
    assert world.weights()[world.new.short] == 10
    world.turn_until(lambda standing: not standing.waits)
    assert world.weights() == {world.new.short: 100}


@pytest.mark.parametrize(
    ("edited", "line"),
    [
        ("crowds:\n  release: sha256:1234\n", 2),
        (f"crowds:\n  release: sha256:{'0' * 64}\n", 2),
        ("crowds:\n  previous: sha256:1234\n", 1),
        ("crowds:\n  relaese: NEW\n  release: NEW\n", 2),
    ],
)
def test_a_lock_that_says_nothing_true_is_refused(world: World, edited: str, line: int) -> None:
    world.climb_to(0)
    weights = world.weights()
    world.write(f"environments/{ENV}.lock.yaml", edited.replace("NEW", world.new.digest))
    for command in ("tick", "up", "status", "rollback"):
        ended = world.run(command, ENV)
        assert ended.code == 2, ended.said
        assert f"environments/{ENV}.lock.yaml:{line}" in ended.said
    world.pin(world.new, world.old)
    assert world.weights() == weights


def test_swapped_lines_are_another_wish_that_replaces_a_rollout_only_when_asked(world: World) -> None:
    world.climb_to(0)
    world.pin(world.old, world.new)
    standing = world.turn()
    assert standing.stopped
    assert "being rolled out" in getattr(standing.due, "says", "")
    assert world.weights() == {world.new.short: 10, world.old.short: 90}


@pytest.mark.long
def test_a_model_that_was_changed_since_is_refused_and_the_old_one_serves_on(world: World) -> None:
    model = world.folder / ".mlinfra/artifacts/trees" / digits(world.third.identity.artifact) / "model.joblib"
    kept = model.read_bytes()
    mode = model.stat().st_mode
    model.chmod(0o644)
    model.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    world.pin(world.third, world.old)
    try:
        with load(world, ENV) as told:
            ended = world.run("up", ENV)
        assert ended.code == 1, ended.said
        assert "changed" in ended.said or "not what" in ended.said, ended.said
        assert told.failures == []
        assert {answer.release for answer in told.answers} == {world.old.short}
    finally:
        model.write_bytes(kept)
        model.chmod(mode)
        world.pin(world.new, world.old)
        world.serve(world.old)
        world.run("up", ENV)

"""Rollback: the traffic first, whoever else is at work, and nothing that runs by itself undoes it."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from mlinfra.operations.alone import alone
from mlinfra.repository import Repository
from tests.end_to_end.repository import ENDPOINT
from tests.rollouts.load import load
from tests.rollouts.world import ENV, World

pytestmark = [pytest.mark.engine, pytest.mark.local]


def assert_gone_back(world: World) -> None:
    """The old release serves, the lock names it, and says why nothing goes on by itself."""
    assert world.weights() == {world.old.short: 100}
    assert world.record().failure(world.new.short)
    pin = world.session(ENV).declared.lock[ENDPOINT]
    assert (pin.release, pin.previous) == (world.old.digest, world.new.digest)
    assert pin.hold is not None
    assert pin.hold.reason == "slow answers"


def test_a_dry_run_changes_nothing(world: World) -> None:
    world.serve(world.new)
    lock, generation = world.lock, world.serving().generation
    [planned] = world.read("rollback", ENV, "--dry-run")["endpoints"]
    assert (planned["from"], planned["to"], planned["warm"]) == (world.new.digest, world.old.digest, True)
    assert (world.lock, world.serving().generation) == (lock, generation)


def test_nothing_that_runs_by_itself_undoes_it(world: World) -> None:
    world.climb_to(1)
    with load(world, ENV) as told:
        world.mlinfra("rollback", ENV, "--reason", "slow answers")
        gone = time.monotonic()
        assert_gone_back(world)
        world.mlinfra("up", ENV)
        world.mlinfra("up", ENV, "--refresh")
        world.mlinfra("tick", ENV)
        assert_gone_back(world)
    assert told.failures == []
    assert told.exceeded(world.new.short) == []
    assert told.answered_by(world.new.short, since=gone) == []


def test_while_another_run_works_on_the_environment(world: World) -> None:
    world.serve(world.new)
    with load(world, ENV) as told, alone(Repository(world.folder), ENV, "a long run"):
        ended = world.run("rollback", ENV, "--reason", "slow answers")
        assert ended.code == 1
        assert "a long run" in ended.said
        assert_gone_back(world)
    assert told.failures == []
    assert told.last == world.old.short
    world.mlinfra("up", ENV)
    world.mlinfra("verify", ENV)


def test_while_another_machine_holds_the_lock_of_the_state(world: World) -> None:
    world.serve(world.new)
    folder = world.folder / ".mlinfra/state/.pulumi/locks/organization/mlinfra" / ENV
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / f"{uuid.uuid4()}.json"
    holder = {"pid": 7, "username": "ada", "hostname": "another-machine", "timestamp": "2026-01-01T00:00:00Z"}
    lock.write_text(json.dumps(holder))
    try:
        with load(world, ENV) as told:
            ended = world.run("rollback", ENV, "--reason", "slow answers")
        assert ended.code == 1
        assert "ada@another-machine" in ended.said
        assert "pulumi cancel" in ended.said or f"mlinfra up {ENV}" in ended.said
        assert_gone_back(world)
        assert told.failures == []
        assert told.last == world.old.short
    finally:
        lock.unlink()
    world.mlinfra("up", ENV)
    world.mlinfra("verify", ENV)


@pytest.mark.long
def test_to_one_that_is_not_deployed(world: World) -> None:
    world.serve(world.new)
    with load(world, ENV) as told:
        world.mlinfra("rollback", ENV, "--to", world.third.short, "--reason", "slow answers")
    try:
        assert told.failures == []
        assert told.last == world.third.short
        assert world.weights() == {world.third.short: 100}
        assert world.session(ENV).declared.lock[ENDPOINT].release == world.third.digest
        world.mlinfra("up", ENV)
        world.mlinfra("tick", ENV)
        assert world.weights() == {world.third.short: 100}
    finally:
        world.pin(world.new, world.third)
        world.serve(world.third)
        world.run("up", ENV)
        world.serve(world.new)
        world.pin(world.new, world.old)
        world.mlinfra("up", ENV)

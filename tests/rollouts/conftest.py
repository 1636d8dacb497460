"""One repository for all: made and brought up once; each test begins with the old release serving everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rollouts.world import ENV, World


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The repository with prod up: the old release serves, and the new one is warm."""
    world = World.make(tmp_path_factory.mktemp("rollouts"))
    try:
        world.mlinfra("up", ENV)
        yield world
    finally:
        world.end()


@pytest.fixture
def world(made: World) -> World:
    """The repository as each test finds it: the old release serves everything, and the lock names the new one."""
    made.again()
    return made

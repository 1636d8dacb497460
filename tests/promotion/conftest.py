"""A platform in git whose prod serves one release, and whose staging has verified the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import made, repository, run
from tests.promotion.world import World, begin, serving

__all__ = ["made", "repository", "run"]


@pytest.fixture
def world(repository: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Not yet in git: `start()` commits it."""
    world = begin(repository, monkeypatch)
    old, new = world.release(1), world.release(2)
    world.pin("prod", old)
    world.pin("staging", new)
    world.truth = {"prod": serving(old), "staging": serving(new)}
    return world

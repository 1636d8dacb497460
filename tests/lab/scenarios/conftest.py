"""One repository and one target for all tests of a class: they go on from each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.scenarios.world import World


@pytest.fixture(scope="class")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The repository, and the target that runs."""
    folder = tmp_path_factory.mktemp("life")
    with request.cls.running(folder) as target:
        made = World.make(folder, target)
        try:
            yield made
        finally:
            made.end()

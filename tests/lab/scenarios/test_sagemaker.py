"""The scenarios on SageMaker, emulated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.aws.target import running
from tests.lab.scenarios.life import Life
from tests.lab.scenarios.world import ENV, World
from tests.lab.target import Target

pytestmark = [pytest.mark.engine, pytest.mark.local, pytest.mark.long]


class TestSageMaker(Life):
    """One stack, from its first release to its end."""

    @staticmethod
    @contextmanager
    def running(folder: Path) -> Iterator[Target]:
        with running() as target:
            yield target

    def test_the_data_goes_when_that_is_told(self, world: World) -> None:
        """Versions of objects and of models are kept, and AWS deletes no bucket and no group that has any."""
        assert world.target.there()
        ended = world.run("down", ENV, "--destroy-data", "--yes")
        assert ended.code == 0, ended.said
        assert world.target.there() == []

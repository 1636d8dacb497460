"""The scenarios on Vertex AI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.gcp.target import running
from tests.lab.scenarios.life import Life
from tests.lab.scenarios.world import ENV, World
from tests.lab.target import Target

pytestmark = [pytest.mark.engine, pytest.mark.local, pytest.mark.long]


class TestVertex(Life):
    """One stack, from its first release to its end."""

    @staticmethod
    @contextmanager
    def running(folder: Path) -> Iterator[Target]:
        with running() as target:
            yield target


class TestNativeMonitor:
    """Vertex AI's own drift monitor beside mlinfra's, from its first `up` to its end."""

    running = TestVertex.running

    def test_it_is_made_with_the_first_release(self, world: World) -> None:
        world.environment()
        assert world.run("up", ENV).code == 0
        world.pin(world.trained())
        world.environment(override={"drift_monitors.crowds.native": True})
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        assert len(self._there(world)) == 1
        assert world.planned() == {}
        world.pulumi(ENV, "refresh", "--yes", "--skip-preview")
        world.pulumi(ENV, "preview", "--expect-no-changes")

    def test_it_becomes_what_is_declared(self, world: World) -> None:
        world.edit("js_divergence() <= 0.1", "js_divergence() <= 0.2")
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        assert len(self._there(world)) == 1
        world.pulumi(ENV, "refresh", "--yes", "--skip-preview")
        world.pulumi(ENV, "preview", "--expect-no-changes")

    def test_it_goes_when_it_is_declared_no_more(self, world: World) -> None:
        world.environment()
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        assert self._there(world) == []
        assert world.planned() == {}

    @staticmethod
    def _there(world: World) -> list[str]:
        return [line for line in world.target.there() if line.startswith("ModelDeploymentMonitoringJob ")]

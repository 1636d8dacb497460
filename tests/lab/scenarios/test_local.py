"""The scenarios on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.local.target import running
from tests.lab.scenarios.life import Life
from tests.lab.target import Target

pytestmark = [pytest.mark.engine, pytest.mark.local, pytest.mark.long]


class TestLocal(Life):
    """One stack, from its first release to its end."""

    @staticmethod
    @contextmanager
    def running(folder: Path) -> Iterator[Target]:
        with running(folder) as target:
            yield target

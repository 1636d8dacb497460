"""The emulated clouds, started once, and projects on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.aws.emulator import Emulator, running


@pytest.fixture(scope="session")
def aws() -> Iterator[Emulator]:
    """An emulated AWS."""
    with running() as emulator:
        yield emulator


@pytest.fixture
def empty_aws(aws: Emulator) -> Iterator[Emulator]:
    """The emulated AWS without faults, at its usual pace."""
    aws.no_faults()
    aws.slow(0.3)
    yield aws
    aws.no_faults()


def program(cloud: str) -> str:
    """Return the lab's own program for a cloud."""
    return (Path(__file__).parent / cloud / "program.py").read_text()

"""The emulated clouds, started once, and projects on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.registry import registry  # type: ignore[import-untyped]

from tests.go_programs import CannotBuild
from tests.lab.aws.emulator import Emulator
from tests.lab.aws.emulator import running as running_aws
from tests.lab.kubernetes.apiserver.build import built
from tests.lab.kubernetes.apiserver.server import Server
from tests.lab.kubernetes.apiserver.server import running as running_kubernetes


@pytest.fixture(autouse=True)
def _own_stores() -> None:
    """Forget the stores of the tests before: fsspec keeps their connections for the whole process."""
    for kind in registry.values():
        kind.clear_instance_cache()


@pytest.fixture(scope="session")
def aws() -> Iterator[Emulator]:
    """An emulated AWS."""
    with running_aws() as emulator:
        yield emulator


@pytest.fixture
def empty_aws(aws: Emulator) -> Iterator[Emulator]:
    """The emulated AWS without faults, at its usual pace."""
    aws.no_faults()
    aws.slow(0.3)
    yield aws
    aws.no_faults()


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[Server]:
    """A Kubernetes API server without custom kinds."""
    try:
        binaries = built()
    except CannotBuild as why:
        pytest.fail(f"the lab needs a Kubernetes API server: {why}")
    with running_kubernetes(binaries) as server:
        yield server


def program(cloud: str) -> str:
    """Return the lab's own program for a cloud."""
    return (Path(__file__).parent / cloud / "program.py").read_text()

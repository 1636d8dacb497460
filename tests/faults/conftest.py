"""Repositories on which fault tests work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.repository import Repository


@pytest.fixture(scope="session")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    repository = Repository.make(tmp_path_factory.mktemp("faults") / "platform")
    yield repository
    repository.remove()


@pytest.fixture
def well(_kept: Repository) -> Repository:
    """A repository whose dev is up and well. Tests share it, and each leaves it well."""
    if not _kept.known_well:
        _kept.up("--refresh")
    _kept.known_well = False  # until the test has said so at its end
    return _kept


@pytest.fixture
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository in which nothing was ever up."""
    repository = Repository.make(tmp_path_factory.mktemp("new") / "platform")
    yield repository
    repository.remove()

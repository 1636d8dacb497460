"""Repositories on which fault tests work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.repository import Repository


class Shared:
    """The repository that tests share: to take it up takes half a minute. One that a test broke is replaced."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._repository: Repository | None = None

    def well(self) -> Repository:
        """Return it, up and well."""
        if self._repository is not None and not self._repository.known_well:
            try:
                self._repository.up("--refresh")
            except AssertionError:
                self.remove()
        if self._repository is None:
            self._repository = Repository.make(self._factory.mktemp("faults") / "platform")
            self._repository.up()
        self._repository.known_well = False  # until the test has said so at its end
        return self._repository

    def remove(self) -> None:
        """Take it down."""
        if self._repository is not None:
            repository, self._repository = self._repository, None
            repository.remove()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """What holds the repository that tests share."""
    made = Shared(tmp_path_factory)
    yield made
    made.remove()


@pytest.fixture
def well(shared: Shared) -> Repository:
    """A repository whose dev is up and well. Tests share it, and each leaves it well."""
    return shared.well()


@pytest.fixture
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository in which nothing was ever up."""
    repository = Repository.make(tmp_path_factory.mktemp("new") / "platform")
    yield repository
    repository.remove()

"""Repositories with a history, as the tests of `mlinfra history` make them."""

from __future__ import annotations

from tests.cli.conftest import made, repository, run
from tests.cli.test_history import platform, releases

__all__ = ["made", "platform", "releases", "repository", "run"]

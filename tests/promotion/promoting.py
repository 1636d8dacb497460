"""`mlinfra promote` as a test calls it, and what it needs to know before and after."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from mlinfra.releases import Release
from tests.promotion.world import World

Run = Callable[..., Result]


@pytest.fixture
def old(world: World) -> Release:
    return pinned(world, "prod")


@pytest.fixture
def new(world: World) -> Release:
    return pinned(world, "staging")


def pinned(world: World, environment: str) -> Release:
    from mlinfra.operations.session import Session
    from mlinfra.repository import Repository

    [part] = [item for item in Session.open(Repository(world.root), environment).resolved.parts if item.deployments]
    return part.deployments[0].release


def promote(run: Run, *arguments: str, code: int = 0, source: str = "staging", target: str = "prod") -> Result:
    result = run("promote", "diabetes", "--from", source, "--to", target, *arguments)
    assert result.exit_code == code, result.output
    return result


def document(run: Run, *arguments: str, code: int = 0) -> Any:
    return json.loads(promote(run, *arguments, "--json", code=code).stdout)


def plain(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def snapshot(world: World) -> tuple[str, str, bytes]:
    return world.git("status", "--porcelain"), world.git("rev-parse", "HEAD"), (world.root / ".git/index").read_bytes()

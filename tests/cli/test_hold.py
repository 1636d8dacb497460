"""mlinfra hold and resume: the lock says so, by a commit, and nothing else is touched."""

from __future__ import annotations

import json
from collections.abc import Callable

from typer.testing import Result

from tests.cli.test_json import check
from tests.promotion.conftest import world
from tests.promotion.world import LOCK, World

__all__ = ["world"]

Run = Callable[..., Result]


def told(run: Run, *arguments: str, code: int = 0) -> str:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    return result.stdout


def test_a_hold_and_its_end_are_commits_and_the_lock_is_what_it_was(world: World, run: Run) -> None:
    world.start(remote=True)
    before, here = world.at("main", LOCK), (world.root / LOCK).read_bytes()
    check("hold", json.loads(told(run, "hold", "prod", "--reason", "a sale", "--direct", "--json")))
    held = world.at("main", LOCK)
    assert 'reason: "a sale"' in held
    assert 'owner: "me@example.com"' in held
    assert (world.root / LOCK).read_bytes() == here, "the work tree is the user's"
    world.git("pull", "-q", "--ff-only", "origin", "main")
    shown = told(run, "promote", "diabetes", "--from", "staging", "--to", "prod", "--dry-run", code=3)
    assert "me@example.com holds it" in shown
    check("resume", json.loads(told(run, "resume", "prod", "--reason", "it is over", "--direct", "--json")))
    assert world.at("main", LOCK) == before
    assert "it is over" in world.git("log", "-1", "--format=%s", "main", folder=world.remote)


def test_without_pull_requests_the_branch_is_named(world: World, run: Run) -> None:
    world.start(remote=True)
    shown = told(run, "hold", "prod", "--reason", "a sale")
    assert "proposed on the branch mlinfra/lock/prod/" in shown
    assert "git push origin" in shown


def test_what_is_not_held_cannot_be_resumed(world: World, run: Run) -> None:
    result = run("resume", "prod", "--reason", "over")
    assert result.exit_code == 2
    assert "prod is not held" in result.stderr


def test_without_git_the_file_says_so(world: World, run: Run) -> None:
    assert "in no git repository" in told(run, "hold", "prod", "--reason", "a sale")
    assert 'reason: "a sale"' in (world.root / LOCK).read_text()

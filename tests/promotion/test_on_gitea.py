"""The whole way on a real git host: opened, commented, approved, merged, and nothing left to promote."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed
from typer.testing import Result

from tests.hosts.conftest import WRITES, alone, gitea
from tests.hosts.gitea.server import PASSWORD, Server
from tests.promotion.world import LOCK, World

__all__ = ["alone", "gitea"]

pytestmark = pytest.mark.timeout(1800)  # where Gitea is built first

Run = Callable[..., Result]


@pytest.fixture
def place() -> str:
    """The repository's name on the host: another one each time that the test is run."""
    return f"ada/promoted{time.monotonic_ns()}"


@pytest.fixture
def hosted(world: World, gitea: Server, place: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """The platform on the host: ada promotes, bob reviews, prod wants one approval."""
    gitea.call("ada", "POST", "user/repos", {"name": place.partition("/")[2], "default_branch": "main"})
    gitea.call("ada", "PUT", f"repos/{place}/collaborators/bob", {"permission": "write"})
    world.environment("prod", "accept_from: [staging]", "approvals: 1")
    world.start(remote=False)
    world.git("remote", "add", "origin", f"{gitea.url.replace('://', f'://ada:{PASSWORD}@')}/{place}.git")
    world.git("push", "-q", "origin", "main")
    for name, value in (("GITEA_URL", gitea.url), ("GITEA_TOKEN", gitea.token("ada", *WRITES))):
        monkeypatch.setenv(name, value)
    return world


def promote(run: Run, code: int) -> Any:
    result = run("promote", "diabetes", "--from", "staging", "--to", "prod", "--json")
    assert result.exit_code == code, result.output
    assert PASSWORD not in result.output
    return json.loads(result.stdout)


def test_from_the_command_to_the_merge(hosted: World, run: Run, gitea: Server, place: str) -> None:
    def call(user: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return gitea.call(user, method, f"repos/{place}/{path}", body)

    first = promote(run, 4)["delivered"]
    number = first["pull_request"]["number"]
    assert (first["adopted"], first["pull_request"]["state"], first["notes"]) == (False, "open", [])
    [comment] = call("ada", "GET", f"issues/{number}/comments")
    assert "approvals: 0 of 1" in comment["body"]
    assert call("ada", "GET", f"commits/{first['commit']}/status")["state"] == "pending"

    call("bob", "POST", f"pulls/{number}/reviews", {"event": "APPROVED", "body": "good"})
    second = promote(run, 0)
    assert second["delivered"] == {**first, "adopted": True, "uploaded": []}
    [edited] = call("ada", "GET", f"issues/{number}/comments")
    assert edited["id"] == comment["id"]
    assert "✓ all met" in edited["body"]
    assert call("ada", "GET", f"commits/{first['commit']}/status")["state"] == "success"

    # Gitea says 405 while it still looks whether the request can be merged
    for attempt in Retrying(stop=stop_after_delay(60), wait=wait_fixed(0.5), reraise=True):
        with attempt:
            call("bob", "POST", f"pulls/{number}/merge", {"Do": "merge", "head_commit_id": first["commit"]})
    subprocess.run(["git", "-C", str(hosted.root), "pull", "-q", "--ff-only", "origin", "main"], check=True)
    assert second["moves"][0]["release"] in (hosted.root / LOCK).read_text()
    assert promote(run, 0)["delivered"] is None

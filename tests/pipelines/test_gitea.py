"""The issue of an environment on a real Gitea."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlinfra.git import GitRepository
from mlinfra.hosts import host_of
from mlinfra.pipelines.issues import keep_issue
from tests.go_programs import CannotBuild
from tests.hosts.gitea.build import built
from tests.hosts.gitea.server import Server, running


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        home = built()
    except CannotBuild as why:
        if os.environ.get("CI"):
            pytest.fail(f"the real git host must run in CI: {why}")
        pytest.skip(f"no real git host: {why}")
    with running(home) as found:
        yield found


def test_opened_updated_and_closed(server: Server, tmp_path: Path) -> None:
    for name in ("ada", "eve"):
        server.add_user(name)
    server.call("ada", "POST", "user/repos", {"name": "platform", "auto_init": True})
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(
        ["git", "-C", str(tmp_path), "remote", "add", "origin", f"{server.url}/ada/platform.git"], check=True
    )
    token = server.token("ada", "write:repository", "write:issue", "read:user")
    host = host_of(GitRepository.open(tmp_path), {"GITEA_URL": server.url, "GITEA_TOKEN": token})
    forged = {"title": "x", "body": "<!-- mlinfra issue of prod -->\nforged"}
    server.call("eve", "POST", "repos/ada/platform/issues", forged)

    def issues(state: str) -> list[dict[str, Any]]:
        found = server.call("ada", "GET", f"repos/ada/platform/issues?state={state}&type=issues")
        return sorted(found, key=lambda issue: int(issue["number"]))

    assert keep_issue(host, "prod", "one differs\n") == "opened"
    assert keep_issue(host, "prod", "two differ\n") == "updated"
    assert keep_issue(host, "prod", "two differ\n") == "unchanged"
    assert [issue["body"].splitlines()[1] for issue in issues("open")] == ["forged", "two differ"]
    assert keep_issue(host, "prod", "") == "closed: nothing differs any more"
    assert keep_issue(host, "prod", "") == "nothing differs"
    assert [issue["body"].splitlines()[1] for issue in issues("open")] == ["forged"]
    assert keep_issue(host, "prod", "three differ") == "opened"
    assert len(issues("all")) == 3

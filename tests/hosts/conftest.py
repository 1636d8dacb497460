"""The real Gitea, and a repository on it with a clone."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlinfra.git import GitRepository
from mlinfra.hosts import Host, host_of
from mlinfra.hosts.gitea import Gitea
from tests.go_programs import CannotBuild
from tests.hosts.gitea.build import built
from tests.hosts.gitea.server import PASSWORD, Server, running

LOCK = "environments/prod.lock.yaml"
WRITES = ("write:repository", "write:issue", "read:user")
_NUMBERS = itertools.count(1)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, and nothing of the git configuration of whoever runs the tests."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\n name = Ada\n email = ada@example.com\n")


@pytest.fixture(scope="session")
def gitea() -> Iterator[Server]:
    """A Gitea with the users ada and bob, who write, and eve, who is a stranger."""
    try:
        home = built()
    except CannotBuild as why:
        if os.environ.get("CI"):
            pytest.fail(f"the real git host must run in CI: {why}")
        pytest.skip(f"no real git host: {why}")
    with running(home) as server:
        for name in ("ada", "bob", "eve"):
            server.add_user(name)
        yield server


@dataclass(frozen=True)
class Place:
    """A repository of ada's on the host, in which bob writes, and ada's clone of it."""

    server: Server
    path: str
    git: GitRepository
    host: Host

    def call(self, user: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self.server.call(user, method, f"repos/{self.path}/{path}".rstrip("/"), body)

    def host_as(self, token: str | None) -> Host:
        return host_of(self.git, environ(self.server, token))

    def push(self, branch: str, content: str, *, base: str | None = None, file: str = LOCK) -> str:
        """Push a commit of one file on `base` (main, if not given) to a branch, over what is there."""
        parent = base or self.git.fetch("main")
        assert parent is not None
        commit = self.git.commit(parent, {file: content.encode()}, f"Write {content}")
        self.git.push(commit, branch, expect=self.git.fetch(branch))
        return commit

    def protect(self, **rules: object) -> None:
        self.call("ada", "POST", "branch_protections", {"branch_name": "main", "rule_name": "main", **rules})


def environ(server: Server, token: str | None) -> Mapping[str, str]:
    return {"GITEA_URL": server.url} | ({"GITEA_TOKEN": token} if token else {})


@pytest.fixture
def place(gitea: Server, tmp_path: Path) -> Place:
    name = f"platform-{next(_NUMBERS)}"
    gitea.call("ada", "POST", "user/repos", {"name": name, "auto_init": True, "default_branch": "main"})
    gitea.call("ada", "PUT", f"repos/ada/{name}/collaborators/bob", {"permission": "write"})
    url = f"{gitea.url.replace('://', f'://ada:{PASSWORD}@')}/ada/{name}.git"
    subprocess.run(["git", "clone", "-q", url, str(tmp_path / "work")], check=True, capture_output=True)
    git = GitRepository.open(tmp_path / "work")
    host = host_of(git, environ(gitea, gitea.token("ada", *WRITES)))
    assert isinstance(host, Gitea)
    made = Place(gitea, f"ada/{name}", git, host)
    made.push("main", "release: aaa\n")
    return made

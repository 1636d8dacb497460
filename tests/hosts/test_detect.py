"""Which host a remote is on, and whose token goes where."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlinfra.git import GitRepository
from mlinfra.hosts import NoPullRequests, host_of
from mlinfra.hosts.gitea import Gitea
from mlinfra.hosts.plain import Plain
from mlinfra.hosts.remote_host import RemoteHost
from mlinfra.problems import WrongUse


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", "unset"], check=True)
    return GitRepository.open(tmp_path)


def at(git: GitRepository, url: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    subprocess.run(["git", "-C", str(git.root), "remote", "set-url", "origin", url], check=True)
    host = host_of(git, environ or {})
    return (host.name, host.api.base, host.repository) if isinstance(host, RemoteHost) else (host.name,)


ACTIONS = {"GITHUB_API_URL": "https://api.github.com", "GITHUB_TOKEN": "t"}
ENTERPRISE = {"GITHUB_API_URL": "https://git.acme.com/api/v3"}
FORGE = {"GITEA_URL": "https://forge.acme.com/git/"}
JOB = {"CI_API_V4_URL": "https://code.acme.com:8443/gitlab/api/v4"}


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://github.com/acme/platform.git", {}, ("github", "https://api.github.com", "acme/platform")),
        ("https://token@github.com/acme/platform", ACTIONS, ("github", "https://api.github.com", "acme/platform")),
        ("git@github.com:acme/platform.git", ACTIONS, ("github", "https://api.github.com", "acme/platform")),
        ("ssh://git@ssh.github.com:443/acme/platform.git", {}, ("github", "https://api.github.com", "acme/platform")),
        ("https://git.acme.com/acme/platform", ENTERPRISE, ("github", "https://git.acme.com/api/v3", "acme/platform")),
        ("git@git.acme.com:acme/platform", ENTERPRISE, ("github", "https://git.acme.com/api/v3", "acme/platform")),
        ("https://github.acme.com/a/b", {}, ("github", "https://github.acme.com/api/v3", "a/b")),
        ("https://gitlab.com/a/b/c/d.git", {}, ("gitlab", "https://gitlab.com/api/v4", "a/b/c/d")),
        ("git@gitlab.acme.com:a/b/c.git", {}, ("gitlab", "https://gitlab.acme.com/api/v4", "a/b/c")),
        ("https://code.acme.com:8443/gitlab/a/b/c.git", JOB, ("gitlab", JOB["CI_API_V4_URL"], "a/b/c")),
        ("ssh://git@code.acme.com:2222/a/b/c.git", JOB, ("gitlab", JOB["CI_API_V4_URL"], "a/b/c")),
        ("https://codeberg.org/a/b", {}, ("gitea", "https://codeberg.org/api/v1", "a/b")),
        ("https://forge.acme.com/git/a/b", FORGE, ("gitea", "https://forge.acme.com/git/api/v1", "a/b")),
        ("ssh://git@forge.acme.com:2222/a/b.git", FORGE, ("gitea", "https://forge.acme.com/git/api/v1", "a/b")),
        ("http://forgejo:3000/a/b", {}, ("gitea", "http://forgejo:3000/api/v1", "a/b")),
        ("https://git.acme.com/a/b", {}, ("plain",)),
        ("https://git.acme.com/a/b", {"MLINFRA_GIT_HOST": "gitlab"}, ("gitlab", "https://git.acme.com/api/v4", "a/b")),
        ("https://mirror.acme.com/a/b", FORGE | {"MLINFRA_GIT_HOST": "gitea"},
         ("gitea", "https://forge.acme.com/git/api/v1", "a/b")),
        ("https://github.com/a/b", {"MLINFRA_GIT_HOST": "plain"}, ("plain",)),
        ("/srv/git/platform.git", {"MLINFRA_GIT_HOST": "github"}, ("plain",)),
        ("../platform.git", {}, ("plain",)),
        ("file:///srv/git/platform.git", {}, ("plain",)),
        ("C:/git/platform.git", {}, ("plain",)),
    ],
)  # fmt: skip
def test_hosts(git: GitRepository, url: str, environ: dict[str, str], expected: tuple[str, ...]) -> None:
    assert at(git, url, environ) == expected


@pytest.mark.parametrize(
    ("url", "environ"),
    [
        ("https://github.evil.com/a/b", ACTIONS),
        ("https://github.com/a/b", ENTERPRISE),
        ("https://gitlab.com/a/b", JOB),
        ("http://127.0.0.1:4000/a/b", {"GITEA_URL": "http://127.0.0.1:3000"}),
    ],
)
def test_the_token_of_one_host_is_not_for_another(git: GitRepository, url: str, environ: dict[str, str]) -> None:
    assert at(git, url, environ) == ("plain",)


def test_gitea_in_its_own_workflows_has_githubs_names(git: GitRepository) -> None:
    environ = {"GITHUB_API_URL": "https://forge.acme.com/api/v1", "GITHUB_TOKEN": "of the workflow".replace(" ", "-")}
    assert at(git, "https://forge.acme.com/a/b", environ) == ("gitea", "https://forge.acme.com/api/v1", "a/b")
    host = host_of(git, environ)
    assert isinstance(host, Gitea)
    assert host.api.token.value == "of-the-workflow"
    elsewhere = host_of(git, {"GITEA_URL": "https://forge.acme.com", "GITHUB_TOKEN": "t", **ACTIONS})
    assert isinstance(elsewhere, Gitea)
    assert elsewhere.api.token.value is None


def test_an_unknown_kind_is_refused(git: GitRepository) -> None:
    with pytest.raises(WrongUse, match="did you mean 'gitlab'"):
        host_of(git, {"MLINFRA_GIT_HOST": "gitlap"})


def test_without_a_remote_it_is_plain_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert isinstance(host_of(GitRepository.open(tmp_path), {}), Plain)


def test_plain_git_says_so() -> None:
    host = Plain()
    with pytest.raises(NoPullRequests, match="promote is all there is") as caught:
        host.open_or_adopt("promote", "main", "b" * 40, "title", "body")
    assert "git push origin bbbbbbbbbbbb:main" in caught.value.remedy
    for ask in (
        lambda: host.get(1),
        lambda: host.approvals(1),
        lambda: host.comment_sticky(1, "key", 1, "text"),
        lambda: host.set_status("b" * 40, "context", "success", "text", None),
        lambda: host.merge(1, "b" * 40),
        lambda: host.close(1),
    ):
        with pytest.raises(NoPullRequests, match="plain git") as refused:
            ask()
        assert "MLINFRA_GIT_HOST" in refused.value.remedy

"""Which host a remote is on, by its URL and what the environment says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from mlinfra.git import GitRepository
from mlinfra.hosts.host import Host
from mlinfra.hosts.plain import Plain
from mlinfra.problems import WrongUse, nearest

KINDS = ("github", "gitlab", "gitea", "plain")
OVERRIDE = "MLINFRA_GIT_HOST"

_SCP = re.compile(r"(?:[^@/\s]+@)?(?P<host>[^:/\s]{2,}):(?!//)(?P<path>.+)")
_KNOWN = {
    "github.com": "github",
    "ssh.github.com": "github",
    "gitlab.com": "gitlab",
    "altssh.gitlab.com": "gitlab",
    "gitea.com": "gitea",
    "codeberg.org": "gitea",
}
_WEB = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}
_BY_NAME = {"github": "github", "gitlab": "gitlab", "gitea": "gitea", "forgejo": "gitea"}
_API_PATHS = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1"}


@dataclass(frozen=True)
class _Address:
    """Where a repository is: `origin` is that of its web pages, as far as the remote's URL tells."""

    host: str
    origin: str
    path: str
    over_http: bool


def host_of(git: GitRepository, environ: Mapping[str, str]) -> Host:
    """Return the host of the remote `origin`, with the token of the environment.

    MLINFRA_GIT_HOST names the kind where the URL does not tell; GITHUB_API_URL, CI_API_V4_URL and GITEA_URL the
    address. A token goes to the address that the environment gives for its kind, else to the remote's host.

    Raises WrongUse for an unknown kind.
    """
    wanted = environ.get(OVERRIDE, "").strip().lower()
    if wanted and wanted not in KINDS:
        near = nearest(wanted, KINDS)
        raise WrongUse(
            f"{OVERRIDE}={wanted!r} is no kind of git host{f': did you mean {near!r}?' if near else ''}",
            remedy=f"one of {', '.join(KINDS)}",
        )
    address = _parse(git.remote() or "")
    if address is None or wanted == "plain":
        return Plain()
    given = _given(environ)
    kind = wanted or _kind(address, given)
    if kind == "plain":
        return Plain()
    base = given.get(kind) or _usual(kind, address)
    return _opened(kind, base, _repository(address, base), environ)


@dataclass(frozen=True)
class Origin:
    """Where the remote `origin` is: the kind of its host, the origin of its web pages, and the repository's path."""

    kind: str
    web: str
    repository: str


def origin_of(git: GitRepository, environ: Mapping[str, str]) -> Origin | None:
    """Return where the remote `origin` is; None for a folder, and for a host that is not known. Asks nobody."""
    address = _parse(git.remote() or "")
    if address is None:
        return None
    given = _given(environ)
    kind = environ.get(OVERRIDE, "").strip().lower() or _kind(address, given)
    if kind not in KINDS or kind == "plain":
        return None
    return Origin(kind, address.origin, _repository(address, given.get(kind) or _usual(kind, address)))


def _opened(kind: str, base: str, repository: str, environ: Mapping[str, str]) -> Host:
    # httpx and its like are imported when a host is asked
    if kind == "github":
        from mlinfra.hosts.github import GitHub

        return GitHub.at(base, repository, environ)
    if kind == "gitlab":
        from mlinfra.hosts.gitlab import GitLab

        return GitLab.at(base, repository, environ)
    from mlinfra.hosts.gitea import Gitea

    return Gitea.at(base, repository, environ)


def _parse(url: str) -> _Address | None:
    """Return the address that a remote's URL tells; None for a folder, and for what names no repository."""
    if "://" in url:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ssh", "git+ssh", "git") or not parts.hostname:
            return None
        over_http = parts.scheme in ("http", "https")
        host, path = parts.hostname, parts.path
        origin = f"{parts.scheme}://{parts.netloc}" if over_http else f"https://{_WEB.get(host, host)}"
    else:
        found = _SCP.fullmatch(url)
        if found is None:
            return None
        host, path, over_http = found["host"].lower(), found["path"], False
        origin = f"https://{_WEB.get(host, host)}"
    path = path.strip("/").removesuffix(".git")
    return _Address(host, origin, path, over_http) if "/" in path else None


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses of APIs that the environment gives, by kind."""
    found = {}
    github = environ.get("GITHUB_API_URL", "").strip().rstrip("/")
    gitea = environ.get("GITEA_URL", "").strip().rstrip("/")
    gitlab = environ.get("CI_API_V4_URL", "").strip().rstrip("/")
    if github.endswith("/api/v1"):  # so Gitea calls its own API in its workflows
        found["gitea"] = github
    elif github:
        found["github"] = github
    if gitea:
        found["gitea"] = gitea if gitea.endswith("/api/v1") else f"{gitea}/api/v1"
    if gitlab:
        found["gitlab"] = gitlab
    return found


def _kind(address: _Address, given: Mapping[str, str]) -> str:
    for kind, base in given.items():
        if _same(address, base):
            return kind
    labels = re.split(r"[.-]", address.host)
    by_name = next((kind for word, kind in _BY_NAME.items() if word in labels), "plain")
    found = _KNOWN.get(address.host, by_name)
    # the token of the environment is that of the address which it gives, and of no other
    return "plain" if found in given else found


def _same(address: _Address, base: str) -> bool:
    """Whether an API is that of the remote's host: by name and port over http; ssh has a port of its own."""
    api, web = urlsplit(base.lower()), urlsplit(address.origin.lower())
    if address.over_http and api.hostname == web.hostname:
        return api.netloc == web.netloc
    return api.hostname in (web.hostname, f"api.{web.hostname}")


def _usual(kind: str, address: _Address) -> str:
    if address.origin == "https://github.com":
        return "https://api.github.com"
    return f"{address.origin}{_API_PATHS[kind]}"


def _repository(address: _Address, base: str) -> str:
    """Return the repository's full path: without the folder below which the host itself is served."""
    folder = re.sub(r"/api/v\d+$", "", urlsplit(base).path).strip("/")
    return address.path.removeprefix(f"{folder}/") if folder and address.over_http else address.path

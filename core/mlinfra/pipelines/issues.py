"""One issue of an environment: opened, kept up to date in place, and closed when there is nothing to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlinfra.hosts import Host, HostError, NoPullRequests
from mlinfra.hosts.remote_host import RemoteHost
from mlinfra.hosts.sticky import LIMIT, cut

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Words:
    """What a host calls things: its issues, which are open, and an issue's text, number, author and end."""

    path: str
    query: Mapping[str, str]
    text: str
    number: str
    author: str
    name: str
    method: str
    closed: Mapping[str, str]
    own: frozenset[str]
    """The names that a workflow's own token writes under."""


_GITHUB = Words(
    path="repos/{repository}/issues", query={"state": "open", "type": "issues"}, text="body", number="number",
    author="user", name="login", method="PATCH", closed={"state": "closed"},
    own=frozenset({"github-actions[bot]", "gitea-actions", "forgejo-actions"}),
)  # fmt: skip
_GITLAB = Words(
    path="projects/{repository}/issues", query={"state": "opened"}, text="description", number="iid",
    author="author", name="username", method="PUT", closed={"state_event": "close"}, own=frozenset(),
)  # fmt: skip


def keep_issue(host: Host, environment: str, text: str) -> str:
    """Keep one open issue with this text, or none where the text is empty; return what was done.

    It is found by its first line, which is hidden, and its author: nobody else's is touched.

    Raises:
        HostError: the host did not do it.
    """
    if not isinstance(host, RemoteHost):
        raise NoPullRequests("the remote is plain git, and has no issues")
    words = _GITLAB if host.name == "gitlab" else _GITHUB
    repository = host.repository.replace("/", "%2F") if host.name == "gitlab" else host.repository
    path = words.path.format(repository=repository)
    marker = f"<!-- mlinfra issue of {environment} -->\n"
    found = _found(host, words, path, marker)
    if found is None and not text:
        return "nothing differs"
    if found is None:
        title = f"mlinfra: {environment} is not as it should be"
        host.api.call(
            "POST", path, type(None), body={"title": title, words.text: marker + cut(text, LIMIT - len(marker))}
        )
        return "opened"
    one = f"{path}/{found[words.number]}"
    if not text:
        host.api.call(words.method, one, type(None), body=words.closed)
        return "closed: nothing differs any more"
    body = marker + cut(text, LIMIT - len(marker))
    if str(found[words.text]).replace("\r\n", "\n").strip() == body.strip():
        return "unchanged"
    host.api.call(words.method, one, type(None), body={words.text: body})
    return "updated"


def _found(host: RemoteHost, words: Words, path: str, marker: str) -> Found | None:
    """Return the oldest issue with the marker that a pipeline wrote."""
    found = [
        item
        for item in host.api.pages(path, dict[str, Any], words.query)
        if str(item.get(words.text) or "").replace("\r\n", "\n").startswith(marker)
    ]
    if not found:
        return None
    own = words.own | _user(host, words)
    mine = [item for item in found if str((item.get(words.author) or {}).get(words.name)) in own]
    return min(mine, key=lambda item: int(item[words.number]), default=None)


def _user(host: RemoteHost, words: Words) -> frozenset[str]:
    """Return the name of the token's user; none where it is a workflow's own, which may not ask."""
    try:
        return frozenset({str(host.api.call("GET", "user", dict[str, Any])[words.name])})
    except HostError as error:
        if error.status not in (401, 403, 404):
            raise
        return frozenset()

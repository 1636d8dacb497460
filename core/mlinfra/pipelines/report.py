"""What a pipeline says on its host: one comment of a pull request, one issue of an environment, each kept up to date.

    python3 -P -m mlinfra.pipelines.report comment FILE
    python3 -P -m mlinfra.pipelines.report issue FILE      closes the issue where FILE is empty

The host, the repository and the pull request are those that the job's variables name. A text is found again by the
hidden line that it begins with, and by its author: nobody else's is touched.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_LONGEST = 60_000
_PAGE = 50
_PAGES = 40
_SECONDS = 30.0
_CUT = "\n…\n~~~\n\nThe rest is in the log of the run.\n"


@dataclass(frozen=True)
class Thread:
    """Where texts are kept: a list of them at `path`, and what this host calls their parts."""

    path: str
    text: str
    query: Mapping[str, str]
    one: str
    """The path of one text, with {id}."""
    id: str


class Host:
    """A git host's API. `own` says of an author whether it is the pipeline itself."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._client = httpx.Client(base_url=url, headers=headers, timeout=_SECONDS)

    def send(self, method: str, path: str, **fields: Any) -> Any:
        """Send a request and return what was answered. Raises httpx.HTTPError."""
        done = self._client.request(method, path, **fields)
        done.raise_for_status()
        return done.json()

    def find(self, thread: Thread, marker: str, own: frozenset[str]) -> Mapping[str, Any] | None:
        """Return the text of a thread that begins with the marker and is the pipeline's own, or None."""
        for item in self._all(thread):
            author = item.get("author") or item.get("user") or {}
            written = str(item.get(thread.text) or "")
            if written.startswith(marker) and str(author.get("username") or author.get("login")) in own:
                return item
        return None

    def _all(self, thread: Thread) -> Iterator[Mapping[str, Any]]:
        for page in range(1, _PAGES + 1):
            size = {"per_page": _PAGE, "limit": _PAGE, "page": page}
            found = self.send("GET", thread.path, params={**thread.query, **size})
            yield from found
            if len(found) < _PAGE:
                return


@dataclass(frozen=True)
class Place:
    """The host with its two threads, and the names that its pipelines write under."""

    host: Host
    comments: Thread | None
    issues: Thread
    own: frozenset[str]
    update: str
    closed: Mapping[str, str]


def place(variables: Mapping[str, str]) -> Place:
    """Return where a job may write, by its variables. Raises KeyError where one is missing; httpx.HTTPError."""
    if "GITLAB_CI" in variables:
        base = f"{variables['CI_API_V4_URL']}/projects/{variables['CI_PROJECT_ID']}"
        host = Host(base, {"PRIVATE-TOKEN": variables["MLINFRA_TOKEN"]})
        own = frozenset({str(host.send("GET", f"{variables['CI_API_V4_URL']}/user")["username"])})
        number = variables.get("CI_MERGE_REQUEST_IID")
        notes = f"/merge_requests/{number}/notes"
        comments = Thread(notes, "body", {}, notes + "/{id}", "id") if number else None
        issues = Thread("/issues", "description", {"state": "opened"}, "/issues/{id}", "iid")
        return Place(host, comments, issues, own, "PUT", {"state_event": "close"})
    base = f"{variables['GITHUB_API_URL']}/repos/{variables['GITHUB_REPOSITORY']}"
    host = Host(base, {"Authorization": f"token {variables['TOKEN']}"})
    number = variables.get("PULL_REQUEST")
    written = f"/issues/{number}/comments"
    comments = Thread(written, "body", {}, "/issues/comments/{id}", "id") if number else None
    issues = Thread("/issues", "body", {"state": "open", "type": "issues"}, "/issues/{id}", "number")
    own = frozenset({"github-actions[bot]", "gitea-actions", "forgejo-actions"})
    return Place(host, comments, issues, own, "PATCH", {"state": "closed"})


def comment(where: Place, environment: str, text: str) -> str:
    """Write the pull request's comment of an environment, or leave it where it says the same."""
    if where.comments is None:
        return "there is no pull request to comment"
    marker = f"<!-- mlinfra plan {environment} -->"
    return _keep(where, where.comments, marker, {}, text)


def issue(where: Place, environment: str, text: str) -> str:
    """Open or update the issue of an environment; close it where `text` is empty."""
    marker = f"<!-- mlinfra watch {environment} -->"
    if text:
        return _keep(where, where.issues, marker, {"title": f"mlinfra: {environment} is not as it should be"}, text)
    found = where.host.find(where.issues, marker, where.own)
    if found is None:
        return "nothing differs"
    where.host.send(where.update, where.issues.one.format(id=found[where.issues.id]), json=dict(where.closed))
    return "nothing differs any more: the issue is closed"


def _keep(where: Place, thread: Thread, marker: str, fields: Mapping[str, str], text: str) -> str:
    body = f"{marker}\n{text}"
    if len(body) > _LONGEST:
        body = body[: _LONGEST - len(_CUT)] + _CUT
    found = where.host.find(thread, marker, where.own)
    if found is None:
        where.host.send("POST", thread.path, json={**fields, thread.text: body})
        return "written"
    if str(found[thread.text]).strip() == body.strip():
        return "unchanged"
    where.host.send(where.update, thread.one.format(id=found[thread.id]), json={thread.text: body})
    return "updated"


def main() -> int:
    """Return the exit code: 0, or 1 where an issue could not be written. A comment is only a copy of the summary."""
    what, file = sys.argv[1:]
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return _failed(what, "the step before it did not come so far", wanted=False)
    try:
        said = {"comment": comment, "issue": issue}[what](place(os.environ), os.environ["ENVIRONMENT"], text)
    except KeyError as error:
        return _failed(what, f"the variable {error.args[0]} is not set", wanted=bool(text))
    except httpx.HTTPStatusError as error:
        return _failed(what, f"the host answered {error.response.status_code}", wanted=bool(text))
    except httpx.HTTPError as error:
        return _failed(what, f"the host cannot be reached: {type(error).__name__}", wanted=bool(text))
    sys.stderr.write(f"{what}: {said}\n")
    return 0


def _failed(what: str, reason: str, *, wanted: bool) -> int:
    sys.stderr.write(f"{what}: not written: {reason}\n")
    return 1 if what == "issue" and wanted else 0


if __name__ == "__main__":
    sys.exit(main())

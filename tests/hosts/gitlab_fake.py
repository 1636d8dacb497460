"""GitLab as its documentation and python-gitlab know it: paths, and what a request may hold, are python-gitlab's.

What python-gitlab does not hold is from GitLab's documentation: states, that a duplicate is answered 409, a moved head
409, a conflict 405, the same status twice 400, and that approvals stay when commits are added.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from gitlab.v4 import objects

from tests.hosts.fake import Asked, Told

PROJECT = "/projects/acme%2Fteam%2Fplatform"

_MERGES, _NOTES, _STATUSES = (
    objects.ProjectMergeRequestManager,
    objects.ProjectMergeRequestNoteManager,
    objects.ProjectCommitStatusManager,
)
# Their manager has an address that GitLab keeps for reading; writing goes to this one.
_STATUS_PATH = "/projects/{project_id}/statuses/{commit_id}"
_MERGE_ATTRIBUTES = {"sha", "merge_when_pipeline_succeeds", "auto_merge"}  # the last: GitLab 17.11
_NOTE_FILTERS = {"order_by", "sort"}  # of the documentation; python-gitlab passes what it is given
_PAGES = {"page", "per_page"}


def check(attributes: Any, given: dict[str, Any]) -> None:
    """Hold what is sent to what python-gitlab lets through."""
    assert set(attributes.required) <= set(given), f"{set(attributes.required) - set(given)} is missing"
    unknown = set(given) - set(attributes.required) - set(attributes.optional)
    assert not unknown, f"{unknown} is unknown"


def pattern(path: str) -> str:
    return path.replace("{project_id}", "acme%2Fteam%2Fplatform").replace("{mr_iid}", r"(?P<iid>\d+)").replace(
        "{commit_id}", "(?P<sha>[0-9a-f]{40})"
    )  # fmt: skip


@dataclass
class FakeGitLab:
    """One project, `acme/team/platform`, whose token's user has the number `me`."""

    me: int = 7
    token: str = "glpat-secret"
    forbidden: bool = False
    green: bool = True
    merges: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    approved: list[int] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    clock: itertools.count[int] = field(default_factory=lambda: itertools.count(10))

    def __call__(self, asked: Asked) -> Told:
        self.asked.append(asked)
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return Told(401, {"message": "401 Unauthorized"})
        if asked.path == "/user":
            return Told(200, self.user(self.me))
        if asked.method != "GET" and self.forbidden:
            return Told(403, {"error": "insufficient_scope", "error_description": "needs higher privileges"})
        if found := re.fullmatch(pattern(_STATUS_PATH), asked.path):
            return self._status(found["sha"], asked.json)
        merges = pattern(_MERGES._path or "")
        if asked.path == unquote(merges) or re.fullmatch(merges, asked.path):
            return self._list(asked) if asked.method == "GET" else self._open(asked.json)
        found = re.fullmatch(rf"{merges}/(?P<iid>\d+)(?P<rest>(/\w+)*)", asked.path)
        assert found, f"{asked.method} {asked.path} is no path of GitLab"
        merge = next((item for item in self.merges if item["iid"] == int(found["iid"])), None)
        if merge is None:
            return Told(404, {"message": "404 Not found"})
        return self._one(merge, found["rest"], asked)

    def user(self, number: int) -> dict[str, Any]:
        return {"id": number, "username": f"user{number}", "name": "Somebody", "state": "active"}

    def now(self) -> str:
        return f"2026-01-01T00:00:{next(self.clock):02d}.000Z"

    def add_merge(
        self, branch: str, sha: str, *, base: str = "main", fork: bool = False, **values: Any
    ) -> dict[str, Any]:
        number = next(self.numbers)
        merge = {
            "id": 100 + number, "iid": number, "project_id": 1, "title": "", "description": None, "state": "opened",
            "source_branch": branch, "target_branch": base, "source_project_id": 2 if fork else 1,
            "target_project_id": 1, "sha": sha, "has_conflicts": False, "detailed_merge_status": "mergeable",
            "web_url": f"https://gitlab.example.com/acme/team/platform/-/merge_requests/{number}",
        }  # fmt: skip
        self.merges.insert(0, merge | values)
        self.push(sha)
        return self.merges[0]

    def push(self, sha: str) -> None:
        """What happens to the versions of a merge request when its branch is pushed to."""
        self.versions.insert(0, {"id": 1, "head_commit_sha": sha, "created_at": self.now(), "state": "collected"})

    def approve(self, user: int) -> None:
        self.approved.append(user)
        self.add_note("approved this merge request", by=user, system=True)

    def add_note(self, body: str, *, by: int, system: bool = False) -> dict[str, Any]:
        note = {"id": next(self.numbers), "body": body, "author": self.user(by), "system": system,
                "created_at": self.now()}  # fmt: skip
        self.notes.append(note)
        return note

    def _list(self, asked: Asked) -> Told:
        unknown = set(asked.query) - set(_MERGES._list_filters) - _PAGES
        assert not unknown, f"{unknown} is unknown"
        wanted = (asked.query["source_branch"], asked.query["target_branch"])
        found = [item for item in self.merges if (item["source_branch"], item["target_branch"]) == wanted]
        return Told(200, found)

    def _open(self, told: dict[str, Any]) -> Told:
        check(_MERGES._create_attrs, told)
        for merge in self.merges:
            if merge["state"] == "opened" and merge["source_branch"] == told["source_branch"]:
                message = f"Another open merge request already exists for this source branch: !{merge['iid']}"
                return Told(409, {"message": [message]})
        merge = self.add_merge(
            told["source_branch"], self.heads[told["source_branch"]], base=told["target_branch"],
            title=told["title"], description=told["description"], detailed_merge_status="preparing",
        )  # fmt: skip
        return Told(201, merge)

    def _one(self, merge: dict[str, Any], rest: str, asked: Asked) -> Told:
        match asked.method, rest:
            case "GET", "":
                shown = dict(merge)
                if merge["detailed_merge_status"] in ("preparing", "checking"):
                    merge["detailed_merge_status"] = "mergeable"
                return Told(200, shown)
            case "PUT", "":
                check(_MERGES._update_attrs, asked.json)
                if asked.json.get("state_event") == "close":
                    merge["state"] = "closed"
                merge.update({name: asked.json[name] for name in ("title", "description") if name in asked.json})
                return Told(200, merge)
            case "PUT", "/merge":
                return self._merge(merge, asked.json)
            case "GET", "/approvals":
                return Told(200, {"approved_by": [{"user": self.user(number)} for number in self.approved]})
            case "GET", "/versions":
                return Told(200, self.versions)
        return self._note(rest, asked)

    def _merge(self, merge: dict[str, Any], told: dict[str, Any]) -> Told:
        assert set(told) <= _MERGE_ATTRIBUTES
        if told["sha"] != merge["sha"]:
            return Told(409, {"message": "SHA does not match HEAD of source branch: " + merge["sha"]})
        if merge["has_conflicts"] or not (self.green or told.get("auto_merge")):
            return Told(405, {"message": "405 Method Not Allowed"})
        if self.green:
            merge["state"] = "merged"
        return Told(200, merge)

    def _note(self, rest: str, asked: Asked) -> Told:
        found = re.fullmatch(r"/notes(?:/(\d+))?", rest)
        assert found, f"{asked.method} {rest} is no path of GitLab"
        if asked.method == "GET":
            assert set(asked.query) <= _NOTE_FILTERS | _PAGES
            return Told(200, self.notes)
        if asked.method == "DELETE":
            self.notes = [note for note in self.notes if note["id"] != int(found[1])]
            return Told(204)
        check(_NOTES._create_attrs if asked.method == "POST" else _NOTES._update_attrs, asked.json)
        if asked.method == "POST":
            return Told(201, self.add_note(asked.json["body"], by=self.me))
        note = next(note for note in self.notes if note["id"] == int(found[1]))
        note.update(asked.json)
        return Told(200, note)

    def _status(self, sha: str, told: dict[str, Any]) -> Told:
        check(_STATUSES._create_attrs, told)
        assert told["state"] in ("pending", "running", "success", "failed", "canceled", "skipped")
        if any(
            (item["sha"], item["name"], item["state"]) == (sha, told["name"], told["state"]) for item in self.statuses
        ):
            return Told(400, {"message": "Cannot transition status via :enqueue from :pending (Reason(s): Status)"})
        self.statuses.append(told | {"sha": sha})
        return Told(201, told | {"id": 1, "sha": sha})

"""GitLab, on gitlab.com or self-managed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal
from urllib.parse import quote

from pydantic import BaseModel

from mlinfra.hosts.api import Api, Token
from mlinfra.hosts.host import HostError, PullRequest, State, StatusState
from mlinfra.hosts.remote_host import Listed, RemoteHost
from mlinfra.hosts.sticky import Remark

_NEEDS = "the scope api and the role Developer; the token of a job (CI_JOB_TOKEN) may not do this"
_STATES: Mapping[str, State] = {"opened": "open", "locked": "open", "merged": "merged", "closed": "closed"}
_STATUSES: Mapping[StatusState, str] = {
    "pending": "pending", "success": "success", "failure": "failed", "error": "failed",
}  # fmt: skip
_NOT_KNOWN_YET = {"unchecked", "checking", "preparing", "approvals_syncing"}
_APPROVED, _UNAPPROVED = "approved this merge request", "unapproved this merge request"


class _Merge(BaseModel):
    iid: int
    web_url: str
    title: str
    description: str | None
    state: Literal["opened", "locked", "merged", "closed"]
    source_branch: str
    target_branch: str
    source_project_id: int | None
    target_project_id: int
    sha: str | None
    has_conflicts: bool = False
    detailed_merge_status: str = ""


class _User(BaseModel):
    id: int
    username: str


class _Note(BaseModel):
    id: int
    body: str
    author: _User
    system: bool
    created_at: datetime


class _Approval(BaseModel):
    user: _User


class _Approvals(BaseModel):
    approved_by: list[_Approval] = []


class _Version(BaseModel):
    head_commit_sha: str
    created_at: datetime


class GitLab(RemoteHost):
    """A project on GitLab."""

    name: ClassVar[str] = "gitlab"

    @classmethod
    def at(cls, base: str, repository: str, environ: Mapping[str, str]) -> GitLab:
        """Return the project by the API at `base`, with the token of the environment."""
        token = Token.of(environ, "GITLAB_TOKEN", "CI_JOB_TOKEN")
        of_job = not environ.get("GITLAB_TOKEN", "").strip()
        authorization = "JOB-TOKEN" if of_job else "Authorization"
        return cls(Api("GitLab", base, token, _NEEDS, authorization=authorization), repository)

    def approvals(self, number: int) -> list[str]:
        """Return who approved after the present head was pushed; see Host.

        GitLab keeps approvals when commits are added, unless the project says otherwise. When each was given is
        in its notes.
        """
        approved = self.api.call("GET", self._path(f"merge_requests/{number}/approvals"), _Approvals).approved_by
        if not approved:
            return []
        versions = self.api.pages(self._path(f"merge_requests/{number}/versions"), _Version, {})
        newest = max((version.created_at for version in versions), default=None)
        given: dict[int, datetime] = {}
        for note in self._notes(number):
            if note.system and note.body in (_APPROVED, _UNAPPROVED):
                given[note.author.id] = note.created_at
        return sorted(
            item.user.username
            for item in approved
            if newest is not None and item.user.id in given and given[item.user.id] >= newest
        )

    def _path(self, rest: str) -> str:
        return f"projects/{quote(self.repository, safe='')}/{rest}"

    def _notes(self, number: int) -> list[_Note]:
        query = {"order_by": "created_at", "sort": "asc"}
        return list(self.api.pages(self._path(f"merge_requests/{number}/notes"), _Note, query))

    def _listed(self, branch: str, base: str) -> list[Listed]:
        query = {"state": "all", "source_branch": branch, "target_branch": base}
        found = self.api.pages(self._path("merge_requests"), _Merge, query)
        return [
            Listed(_read(merge), merge.title, merge.description or "")
            for merge in found
            if merge.source_project_id == merge.target_project_id
        ]

    def _open(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        told = {"source_branch": branch, "target_branch": base, "title": title, "description": body}
        return _read(self.api.call("POST", self._path("merge_requests"), _Merge, body=told))

    def _edit(self, number: int, title: str, body: str) -> None:
        told = {"title": title, "description": body}
        self.api.call("PUT", self._path(f"merge_requests/{number}"), _Merge, body=told)

    def _pull(self, number: int) -> PullRequest:
        return _read(self.api.call("GET", self._path(f"merge_requests/{number}"), _Merge))

    def _board(self, number: int) -> _Board:
        return _Board(self, number)

    def _set_status(self, commit: str, context: str, state: StatusState, description: str, url: str | None) -> None:
        told = {"state": _STATUSES[state], "name": context, "description": description}
        if url:
            told["target_url"] = url
        try:
            self.api.call("POST", self._path(f"statuses/{commit}"), type(None), body=told, twice=True)
        except HostError as error:
            # it was in this state already
            if not (error.status == 400 and "Cannot transition status" in error.message):
                raise

    def _merge(self, number: int, head: str, when_green: bool) -> None:
        told: dict[str, str | bool] = {"sha": head}
        if when_green:
            # the second is what it was called before GitLab 17.11
            told |= {"auto_merge": True, "merge_when_pipeline_succeeds": True}
        self.api.call("PUT", self._path(f"merge_requests/{number}/merge"), type(None), body=told)

    def _close(self, number: int) -> None:
        self.api.call("PUT", self._path(f"merge_requests/{number}"), _Merge, body={"state_event": "close"})


@dataclass(frozen=True)
class _Board:
    host: GitLab
    number: int

    def own(self) -> list[Remark]:
        me = self.host.api.call("GET", "user", _User).id
        notes = [note for note in self.host._notes(self.number) if note.author.id == me and not note.system]
        if not notes:
            return []
        url = self.host._pull(self.number).url
        return [Remark(note.id, f"{url}#note_{note.id}", note.body) for note in notes]

    def create(self, body: str) -> None:
        path = self.host._path(f"merge_requests/{self.number}/notes")
        self.host.api.call("POST", path, _Note, body={"body": body})

    def edit(self, remark: Remark, body: str) -> None:
        self.host.api.call("PUT", self._note(remark), _Note, body={"body": body})

    def delete(self, remark: Remark) -> None:
        try:
            self.host.api.call("DELETE", self._note(remark), type(None))
        except HostError as error:
            if error.status != 404:
                raise

    def _note(self, remark: Remark) -> str:
        return self.host._path(f"merge_requests/{self.number}/notes/{remark.number}")


def _read(merge: _Merge) -> PullRequest:
    unknown = merge.detailed_merge_status in _NOT_KNOWN_YET
    return PullRequest(
        number=merge.iid,
        url=merge.web_url,
        branch=merge.source_branch,
        base=merge.target_branch,
        head=merge.sha or "",
        state=_STATES[merge.state],
        mergeable=None if unknown else not (merge.has_conflicts or merge.detailed_merge_status == "conflict"),
    )

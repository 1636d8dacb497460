"""Gitea and Forgejo."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel

from mlinfra.hosts.api import Api, Token
from mlinfra.hosts.host import HostError, PullRequest, State, StatusState
from mlinfra.hosts.remote_host import Listed, RemoteHost
from mlinfra.hosts.sticky import Remark

_NEEDS = "the scopes write:repository, write:issue and read:user, and its user write access"
# There is no list by branch: of those that are done, the ones changed last are looked through.
_DONE_PAGES = 4


class _Ref(BaseModel):
    label: str
    ref: str
    sha: str
    repo_id: int


class _Pull(BaseModel):
    number: int
    html_url: str
    title: str
    body: str
    state: Literal["open", "closed"]
    merged: bool
    mergeable: bool
    head: _Ref
    base: _Ref


class _User(BaseModel):
    id: int
    login: str


class _Review(BaseModel):
    user: _User | None
    state: str
    commit_id: str
    official: bool
    stale: bool
    dismissed: bool


class _Comment(BaseModel):
    id: int
    html_url: str
    body: str
    user: _User | None


class _Rules(BaseModel):
    default_merge_style: str = "merge"


class Gitea(RemoteHost):
    """A repository on Gitea or Forgejo."""

    name: ClassVar[str] = "gitea"

    @classmethod
    def at(cls, base: str, repository: str, environ: Mapping[str, str]) -> Gitea:
        """Return the repository by the API at `base`, with the token of the environment.

        In Gitea's own workflows the token has GitHub's name, and so has the address of the API.
        """
        own = ("GITHUB_TOKEN",) if environ.get("GITHUB_API_URL", "").rstrip("/") == base else ()
        token = Token.of(environ, "GITEA_TOKEN", "FORGEJO_TOKEN", *own)
        return cls(Api("Gitea", base, token, _NEEDS, page_size="limit"), repository)

    def approvals(self, number: int) -> list[str]:
        """Return who approved the present head officially; see Host."""
        head = self._raw(number).head.sha
        last: dict[str, _Review] = {}
        for review in self.api.pages(self._path(f"pulls/{number}/reviews"), _Review, {}):
            if review.user and review.state in ("APPROVED", "REQUEST_CHANGES"):
                last[review.user.login] = review
        return sorted(
            login
            for login, review in last.items()
            if review.state == "APPROVED"
            and review.commit_id == head
            and review.official
            and not (review.stale or review.dismissed)
        )

    def _path(self, rest: str) -> str:
        return f"repos/{self.repository}/{rest}".rstrip("/")

    def _raw(self, number: int) -> _Pull:
        return self.api.call("GET", self._path(f"pulls/{number}"), _Pull)

    def _listed(self, branch: str, base: str) -> list[Listed]:
        path = self._path("pulls")
        opened = self.api.pages(path, _Pull, {"state": "open", "base_branch": base})
        done = self.api.pages(
            path, _Pull, {"state": "closed", "base_branch": base, "sort": "recentupdate"}, most=_DONE_PAGES
        )
        return [
            Listed(_read(pull), pull.title, pull.body)
            for pull in itertools.chain(opened, done)
            if pull.head.label == branch and pull.base.ref == base and pull.head.repo_id == pull.base.repo_id
        ]

    def _open(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        told = {"head": branch, "base": base, "title": title, "body": body}
        return _read(self.api.call("POST", self._path("pulls"), _Pull, body=told))

    def _edit(self, number: int, title: str, body: str) -> None:
        self.api.call("PATCH", self._path(f"pulls/{number}"), _Pull, body={"title": title, "body": body})

    def _pull(self, number: int) -> PullRequest:
        return _read(self._raw(number))

    def _board(self, number: int) -> _Board:
        return _Board(self, number)

    def _set_status(self, commit: str, context: str, state: StatusState, description: str, url: str | None) -> None:
        told = {"state": state, "context": context, "description": description, "target_url": url or ""}
        self.api.call("POST", self._path(f"statuses/{commit}"), type(None), body=told, twice=True)

    def _merge(self, number: int, head: str, when_green: bool) -> None:
        style = self.api.call("GET", self._path(""), _Rules).default_merge_style
        told = {"Do": style, "head_commit_id": head, "merge_when_checks_succeed": when_green}

        def ask() -> HostError | None:
            try:
                self.api.call("POST", self._path(f"pulls/{number}/merge"), type(None), body=told)
            except HostError as error:
                return error
            return None

        # it says so while it looks for conflicts, even after it called the pull request mergeable
        error = self.api.settled(ask, lambda error: error is not None and "try again later" in error.message)
        if error is not None and not (when_green and "already scheduled" in error.message):
            raise error

    def _close(self, number: int) -> None:
        self.api.call("PATCH", self._path(f"pulls/{number}"), _Pull, body={"state": "closed"})


@dataclass(frozen=True)
class _Board:
    host: Gitea
    number: int

    def own(self) -> list[Remark]:
        me = self.host.api.call("GET", "user", _User).id
        found = self.host.api.call("GET", self.host._path(f"issues/{self.number}/comments"), list[_Comment])
        return [_remark(comment) for comment in found if comment.user and comment.user.id == me]

    def create(self, body: str) -> None:
        path = self.host._path(f"issues/{self.number}/comments")
        self.host.api.call("POST", path, type(None), body={"body": body})

    def edit(self, remark: Remark, body: str) -> None:
        path = self.host._path(f"issues/comments/{remark.number}")
        self.host.api.call("PATCH", path, type(None), body={"body": body})

    def delete(self, remark: Remark) -> None:
        try:
            self.host.api.call("DELETE", self.host._path(f"issues/comments/{remark.number}"), type(None))
        except HostError as error:
            if error.status != 404:
                raise


def _remark(comment: _Comment) -> Remark:
    return Remark(comment.id, comment.html_url, comment.body)


def _read(pull: _Pull) -> PullRequest:
    state: State = "merged" if pull.merged else pull.state
    return PullRequest(
        number=pull.number,
        url=pull.html_url,
        branch=pull.head.label,
        base=pull.base.ref,
        head=pull.head.sha,
        state=state,
        mergeable=pull.mergeable,
    )

"""GitHub, and GitHub Enterprise Server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from mlinfra.hosts.api import Api, Token
from mlinfra.hosts.host import HostError, PullRequest, State, StatusState
from mlinfra.hosts.remote_host import Listed, RemoteHost
from mlinfra.hosts.sticky import Remark

_NEEDS = "write access to contents, pull requests and commit statuses"
_AUTO_MERGE = """\
mutation($pull: ID!, $head: GitObjectID!, $method: PullRequestMergeMethod!) {
  enablePullRequestAutoMerge(input: {pullRequestId: $pull, expectedHeadOid: $head, mergeMethod: $method}) {
    clientMutationId
  }
}"""
# Reviews of others are shown on the page, but are no one's who has a say in the repository.
_MAY_APPROVE = {"OWNER", "MEMBER", "COLLABORATOR"}


class _Repo(BaseModel):
    full_name: str


class _Ref(BaseModel):
    ref: str
    sha: str
    repo: _Repo | None


class _Pull(BaseModel):
    number: int
    node_id: str
    html_url: str
    title: str
    body: str | None
    state: Literal["open", "closed"]
    merged_at: str | None
    head: _Ref
    base: _Ref
    mergeable: bool | None = None


class _User(BaseModel):
    id: int
    login: str


class _Review(BaseModel):
    user: _User | None
    state: str
    commit_id: str | None
    author_association: str


class _Comment(BaseModel):
    id: int
    html_url: str
    body: str = ""
    user: _User | None


class _Rules(BaseModel):
    allow_merge_commit: bool = True
    allow_squash_merge: bool = True
    allow_rebase_merge: bool = True


class _Viewer(BaseModel):
    number: int = Field(alias="databaseId")


class _Data(BaseModel):
    viewer: _Viewer | None = None


class _Told(BaseModel):
    message: str


class _Graph(BaseModel):
    data: _Data | None = None
    errors: list[_Told] = []


class GitHub(RemoteHost):
    """A repository on GitHub."""

    name: ClassVar[str] = "github"

    @classmethod
    def at(cls, base: str, repository: str, environ: Mapping[str, str]) -> GitHub:
        """Return the repository by the API at `base`, with the token of the environment."""
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        token = Token.of(environ, "GITHUB_TOKEN", "GH_TOKEN")
        return cls(Api("GitHub", base, token, _NEEDS, headers), repository)

    def approvals(self, number: int) -> list[str]:
        """Return who approved the present head last, of those who belong to the repository; see Host."""
        head = self._raw(number).head.sha
        last: dict[str, _Review] = {}
        for review in self.api.pages(self._path(f"pulls/{number}/reviews"), _Review, {}):
            if review.user and review.state in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
                last[review.user.login] = review
        return sorted(
            login
            for login, review in last.items()
            if review.state == "APPROVED" and review.commit_id == head and review.author_association in _MAY_APPROVE
        )

    def _path(self, rest: str) -> str:
        return f"repos/{self.repository}/{rest}".rstrip("/")

    def _raw(self, number: int) -> _Pull:
        return self.api.call("GET", self._path(f"pulls/{number}"), _Pull)

    def _listed(self, branch: str, base: str) -> list[Listed]:
        owner = self.repository.partition("/")[0]
        query = {"state": "all", "head": f"{owner}:{branch}", "base": base}
        found = self.api.pages(self._path("pulls"), _Pull, query)
        return [
            Listed(_read(pull), pull.title, pull.body or "")
            for pull in found
            if (pull.head.ref, pull.base.ref) == (branch, base)
            and pull.head.repo
            and pull.head.repo.full_name.lower() == self.repository.lower()
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
        told = {"state": state, "context": context, "description": description, "target_url": url}
        self.api.call("POST", self._path(f"statuses/{commit}"), type(None), body=told, twice=True)

    def _merge(self, number: int, head: str, when_green: bool) -> None:
        rules = self.api.call("GET", self._path(""), _Rules)
        allowed = {
            "merge": rules.allow_merge_commit,
            "squash": rules.allow_squash_merge,
            "rebase": rules.allow_rebase_merge,
        }
        method = next((name for name, is_allowed in allowed.items() if is_allowed), "merge")
        if when_green and self._merge_later(number, head, method):
            return
        told = {"sha": head, "merge_method": method}
        self.api.call("PUT", self._path(f"pulls/{number}/merge"), type(None), body=told)

    def _merge_later(self, number: int, head: str, method: str) -> bool:
        """Return whether it waits for its checks; it does not where it could be merged now."""
        variables = {"pull": self._raw(number).node_id, "head": head, "method": method.upper()}
        answer = self._ask_graph(_AUTO_MERGE, variables)
        for error in answer.errors:
            if "clean status" in error.message:
                return False
            raise HostError(
                f"GitHub does not merge it when it is green: {error.message}",
                remedy="allow auto-merge in the repository's settings, or merge it by hand",
            )
        return True

    def _close(self, number: int) -> None:
        self.api.call("PATCH", self._path(f"pulls/{number}"), _Pull, body={"state": "closed"})

    def _ask_graph(self, query: str, variables: Mapping[str, str]) -> _Graph:
        base = self.api.base
        graph = Api(
            self.api.host,
            base.removesuffix("/v3") if base.endswith("/api/v3") else base,
            self.api.token,
            self.api.needs,
        )
        return graph.call("POST", "graphql", _Graph, body={"query": query, "variables": variables}, twice=True)

    def _me(self) -> int:
        """Return the number of this token's user; the token of a workflow has one that only GraphQL tells."""
        try:
            return self.api.call("GET", "user", _User).id
        except HostError as error:
            if error.status != 403:
                raise
        answer = self._ask_graph("query { viewer { databaseId } }", {})
        if answer.data is None or answer.data.viewer is None:
            raise HostError("GitHub does not tell whose token it is", remedy=f"give one with {_NEEDS}")
        return answer.data.viewer.number


@dataclass(frozen=True)
class _Board:
    host: GitHub
    number: int

    def own(self) -> list[Remark]:
        me = self.host._me()
        path = self.host._path(f"issues/{self.number}/comments")
        found = self.host.api.pages(path, _Comment, {})
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
    state: State = "merged" if pull.merged_at else pull.state
    return PullRequest(
        number=pull.number,
        url=pull.html_url,
        branch=pull.head.ref,
        base=pull.base.ref,
        head=pull.head.sha,
        state=state,
        mergeable=pull.mergeable,
    )

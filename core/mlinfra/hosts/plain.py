"""Plain git: a pushed branch is all there is."""

from __future__ import annotations

from typing import NoReturn

from mlinfra.hosts.host import NoPullRequests, PullRequest, StatusState


class Plain:
    """A remote without pull requests, or with a host that mlinfra does not know. Every method says so."""

    name = "plain"

    def open_or_adopt(self, branch: str, base: str, head: str, title: str, body: str) -> PullRequest:
        """Raise NoPullRequests, with how to merge the branch by hand."""
        raise NoPullRequests(
            f"the remote has no pull requests that mlinfra knows: {branch} is all there is",
            remedy=f"review it (git log -p {base}..{head[:12]}), then merge it: git push origin {head[:12]}:{base}; "
            "or name the kind of host: MLINFRA_GIT_HOST=github, gitlab or gitea",
        )

    def get(self, number: int) -> PullRequest:
        """Raise NoPullRequests."""
        self._none(f"pull request {number}")

    def approvals(self, number: int) -> list[str]:
        """Raise NoPullRequests."""
        self._none(f"approval of {number}")

    def comment_sticky(self, number: int, key: str, revision: int, text: str) -> str | None:
        """Raise NoPullRequests."""
        self._none(f"comment on {number}")

    def set_status(self, commit: str, context: str, state: StatusState, description: str, url: str | None) -> None:
        """Raise NoPullRequests."""
        self._none(f"status of {commit[:12]}")

    def merge(self, number: int, expect_head: str, when_green: bool = False) -> PullRequest:
        """Raise NoPullRequests."""
        self._none(f"pull request {number}")

    def close(self, number: int) -> None:
        """Raise NoPullRequests."""
        self._none(f"pull request {number}")

    def _none(self, what: str) -> NoReturn:
        raise NoPullRequests(
            f"the remote is plain git: there is no {what}",
            remedy="if its host has pull requests, name its kind: MLINFRA_GIT_HOST=github, gitlab or gitea",
        )

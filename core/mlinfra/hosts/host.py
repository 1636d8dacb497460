"""What promotion asks of a git host, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from mlinfra.problems import MlinfraError

State = Literal["open", "merged", "closed"]
StatusState = Literal["pending", "success", "failure", "error"]


class HostError(MlinfraError):
    """What a git host did not do. `status` is that of its answer, None where none came."""

    def __init__(self, message: str, *, remedy: str = "", status: int | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status


class NoPullRequests(HostError):
    """The remote is plain git: a branch can be pushed, and that is all."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request (on GitLab: a merge request) from `branch`, now at the commit `head`, to the branch `base`.

    `created` is whether this call opened it. `approvals` counts those who approved `head`; None where that was not
    asked. `mergeable` is false where it conflicts with `base`; None while the host does not know.
    """

    number: int
    url: str
    branch: str
    base: str
    head: str
    state: State
    created: bool = False
    approvals: int | None = None
    mergeable: bool | None = None


class Host(Protocol):
    """A git host and one repository on it. Every method raises HostError for what the host does not do."""

    @property
    def name(self) -> str:
        """`github`, `gitlab`, `gitea` or `plain`."""

    def open_or_adopt(self, branch: str, base: str, head: str, title: str, body: str) -> PullRequest:
        """Return the pull request of `branch` to `base`, opened where there is none.

        That is the open one, with title and body brought up to date; else one of the commit `head`: a merged one,
        or the newest that was closed.
        """

    def get(self, number: int) -> PullRequest:
        """Return a pull request as it is now."""

    def approvals(self, number: int) -> list[str]:
        """Return the names of those who approved the present head and may do so, sorted."""

    def comment_sticky(self, number: int, key: str, revision: int, text: str) -> str | None:
        """Keep one comment of this user under `key`, and return its URL.

        `revision` grows with what the text tells of: a newer one that is there stays. None where the token may only
        read, as on the pull request of a fork: then print the text.
        """

    def set_status(self, commit: str, context: str, state: StatusState, description: str, url: str | None) -> None:
        """Set the status `context` of a commit; the description is cut to 140 characters."""

    def merge(self, number: int, expect_head: str, when_green: bool = False) -> PullRequest:
        """Merge a pull request if it is at `expect_head`, at once or when its checks are green.

        Returns it as it is then: still open where it waits. Raises Raced where it is at another commit.
        """

    def close(self, number: int) -> None:
        """Close a pull request, or find it closed or merged."""

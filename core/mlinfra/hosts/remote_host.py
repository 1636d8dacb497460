"""What is the same on every host with an API: finding before opening, guarding by the head, one comment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from mlinfra.git import Raced
from mlinfra.hosts.api import Api
from mlinfra.hosts.host import HostError, PullRequest, StatusState
from mlinfra.hosts.sticky import Board, keep_one

DESCRIPTION_CHARACTERS = 140


@dataclass(frozen=True)
class Listed:
    """A pull request with what it says."""

    pull: PullRequest
    title: str
    body: str


class RemoteHost(ABC):
    """A host with an API. A subclass knows its paths and words."""

    name: ClassVar[str]

    def __init__(self, api: Api, repository: str) -> None:
        """`repository` is its full path, such as `acme/platform`."""
        self.api = api
        self.repository = repository

    def open_or_adopt(self, branch: str, base: str, head: str, title: str, body: str) -> PullRequest:
        """Return the pull request of `branch` to `base`; see Host."""
        found = self._found(branch, base, head)
        if found is None:
            try:
                opened = self._open(branch, base, title, body)
            except HostError:
                # another run was faster, or the answer was lost
                found = self._found(branch, base, head)
                if found is None:
                    raise
            else:
                # Gitea opens one for each of two runs that ask at the same time
                found = self._found(branch, base, head) or Listed(opened, title, body)
                if found.pull.number == opened.number:
                    return replace(opened, created=True, approvals=0)
        number = found.pull.number
        if found.pull.state == "open" and (found.title, _plain(found.body)) != (title, _plain(body)):
            self._edit(number, title, body)
        return replace(found.pull, approvals=len(self.approvals(number)))

    def get(self, number: int) -> PullRequest:
        """Return a pull request as it is now; waits some seconds for the host to know whether it conflicts."""
        return replace(self._settled(number), approvals=len(self.approvals(number)))

    @abstractmethod
    def approvals(self, number: int) -> list[str]:
        """Return who approved the present head; see Host."""

    def comment_sticky(self, number: int, key: str, revision: int, text: str) -> str | None:
        """Keep one comment under `key`; see Host."""
        try:
            return keep_one(self._board(number), key, revision, text)
        except HostError as error:
            if error.status == 403:
                return None
            raise

    def set_status(self, commit: str, context: str, state: StatusState, description: str, url: str | None) -> None:
        """Set the status `context` of a commit; see Host."""
        short = (
            description
            if len(description) <= DESCRIPTION_CHARACTERS
            else f"{description[: DESCRIPTION_CHARACTERS - 1]}…"
        )
        self._set_status(commit, context, state, short, url)

    def merge(self, number: int, expect_head: str, when_green: bool = False) -> PullRequest:
        """Merge a pull request that is at `expect_head`; see Host."""
        pull = self._settled(number)
        if pull.head != expect_head:
            raise self._moved(number)
        if pull.state == "closed":
            raise HostError(f"{pull.url} is closed", remedy="open it again, or run the promotion again")
        if pull.state == "open":
            try:
                self._merge(number, expect_head, when_green)
            except HostError as error:
                after = self._pull(number)
                if after.head != expect_head:
                    raise self._moved(number) from None
                if after.state != "merged":
                    raise self._unmerged(after, error) from None
        return self.get(number)

    def close(self, number: int) -> None:
        """Close a pull request, or find it closed or merged."""
        if self._pull(number).state == "open":
            self._close(number)

    def _found(self, branch: str, base: str, head: str) -> Listed | None:
        """Return the one to adopt. Of several open ones every run keeps the oldest, and closes the others."""
        listed = self._listed(branch, base)
        opened = sorted((item for item in listed if item.pull.state == "open"), key=lambda item: item.pull.number)
        for item in opened[1:]:
            self._close(item.pull.number)
        return opened[0] if opened else _best(listed, head)

    def _settled(self, number: int) -> PullRequest:
        return self.api.settled(
            lambda: self._pull(number), lambda pull: pull.state == "open" and pull.mergeable is None
        )

    def _moved(self, number: int) -> Raced:
        return Raced(
            f"pull request {number} is at another commit than the one that was judged; it is not merged",
            remedy="look at what was added, then run this again",
        )

    def _unmerged(self, pull: PullRequest, error: HostError) -> HostError:
        if pull.mergeable is False:
            return HostError(
                f"{pull.url} conflicts with {pull.base}; it is not merged",
                remedy="run the promotion again: it starts from what is there now",
                status=error.status,
            )
        return HostError(
            f"{pull.url} is not merged: {error.message}",
            remedy=error.remedy or "see which checks or approvals it lacks",
            status=error.status,
        )

    @abstractmethod
    def _listed(self, branch: str, base: str) -> Sequence[Listed]:
        """Return the pull requests of a branch of this very repository to `base`, in every state."""

    @abstractmethod
    def _open(self, branch: str, base: str, title: str, body: str) -> PullRequest: ...

    @abstractmethod
    def _edit(self, number: int, title: str, body: str) -> None: ...

    @abstractmethod
    def _pull(self, number: int) -> PullRequest: ...

    @abstractmethod
    def _board(self, number: int) -> Board: ...

    @abstractmethod
    def _set_status(self, commit: str, context: str, state: StatusState, description: str, url: str | None) -> None: ...

    @abstractmethod
    def _merge(self, number: int, head: str, when_green: bool) -> None: ...

    @abstractmethod
    def _close(self, number: int) -> None: ...


def _best(listed: Sequence[Listed], head: str) -> Listed | None:
    """Return the one of this very commit: a merged one, else the newest. (The head of an open one may lag behind.)"""
    fitting = [item for item in listed if item.pull.head == head]
    return max(fitting, key=lambda item: (item.pull.state == "merged", item.pull.number), default=None)


def _plain(body: str) -> str:
    return body.replace("\r\n", "\n").strip()

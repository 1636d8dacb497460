"""A promotion's pull request: opened or adopted, with one comment that is kept up to date."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlinfra.git import GitRepository
from mlinfra.problems import MlinfraError
from mlinfra.promotion.comment import KEY, comment
from mlinfra.promotion.delivery import Base, Delivered, body_of, title_of
from mlinfra.promotion.difference import Promotion
from mlinfra.promotion.preconditions import APPROVALS, approved

if TYPE_CHECKING:
    from mlinfra.hosts import Host, StatusState

STATUS = "mlinfra/promotion"
"""The status of the commit: a branch that demands it is merged only when everything holds."""


def ask_for_review(
    git: GitRepository, base: Base, promotion: Promotion, pushed: Delivered, now: datetime
) -> tuple[Promotion, Delivered]:
    """Open or adopt the pull request of a pushed branch; return what is known with its approvals, and the request.

    Raises:
        MlinfraError: the host did not open it; the branch is there.
    """
    from mlinfra.hosts import NoPullRequests, host_of

    target = promotion.target.environment
    try:
        host = host_of(git, os.environ)
        request = host.open_or_adopt(pushed.branch, base.branch, pushed.commit, title_of(promotion), body_of(promotion))
        given = len(host.approvals(request.number)) if target.approvals else 0
    except NoPullRequests as error:
        return promotion, replace(pushed, notes=[error.message, error.remedy])
    except MlinfraError as error:
        raise MlinfraError(
            f"{pushed.branch} is pushed, and its pull request is not open: {error.message}",
            remedy=error.remedy or "run this again: it goes on from there; or open the pull request by hand",
        ) from error
    known = [
        approved(target, given, direct=False) if item.name == APPROVALS else item for item in promotion.preconditions
    ]
    promotion = replace(promotion, preconditions=known)
    told = replace(pushed, pull_request=request)
    return promotion, replace(told, notes=list(_tell(host, promotion, told, now)))


def _tell(host: Host, promotion: Promotion, told: Delivered, now: datetime) -> Iterator[str]:
    """Keep the comment and the commit's status; yield why one could not be: nothing depends on them here."""
    assert told.pull_request is not None
    try:
        if host.comment_sticky(told.pull_request.number, KEY, int(now.timestamp()), comment(promotion)) is None:
            yield "the token may not write comments: the pull request does not say what is open"
    except MlinfraError as error:
        yield f"the comment could not be written: {error.message}"
    state: StatusState = "failure" if promotion.refused else "pending" if promotion.open else "success"
    said = "; ".join(f"{item.name}: {item.detail}" for item in promotion.open) or "all that must hold does"
    try:
        host.set_status(told.commit, STATUS, state, said, told.pull_request.url)
    except MlinfraError as error:
        yield f"the status could not be set: {error.message}"

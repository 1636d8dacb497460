"""A promotion's pull request: opened or adopted, with one comment that is kept up to date."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlinfra.git import GitRepository
from mlinfra.problems import MlinfraError
from mlinfra.promotion.comment import KEY, comment
from mlinfra.promotion.delivery import Base, Delivered, title_of
from mlinfra.promotion.difference import Promotion
from mlinfra.promotion.preconditions import APPROVALS, approved

if TYPE_CHECKING:
    from mlinfra.hosts import Host, PullRequest


def ask_for_review(
    git: GitRepository, base: Base, promotion: Promotion, pushed: Delivered, *, supersede: bool, now: datetime
) -> tuple[Promotion, Delivered]:
    """Open or adopt the pull request of a pushed branch; return what is known with its approvals, and the request.

    Raises:
        MlinfraError: the host did not open it; the branch is there.
    """
    from mlinfra.hosts import NoPullRequests, host_of

    target, text = promotion.target.environment, comment(promotion, supersede=supersede)
    try:
        host = host_of(git, os.environ)
        request = host.open_or_adopt(pushed.branch, base.branch, pushed.commit, title_of(promotion), text)
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
    return promotion, replace(pushed, pull_request=request, notes=_commented(host, request, promotion, now, supersede))


def _commented(host: Host, request: PullRequest, promotion: Promotion, now: datetime, supersede: bool) -> Sequence[str]:
    """Keep the comment; return why it could not be: it says what the command prints, and nothing depends on it."""
    text = comment(promotion, supersede=supersede)
    try:
        url = host.comment_sticky(request.number, KEY, int(now.timestamp()), text)
    except MlinfraError as error:
        return [f"the comment could not be written: {error.message}"]
    return [] if url is not None else ["the token may not write comments here: nobody is told in the pull request"]

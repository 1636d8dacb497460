"""A promotion's pull request: opened or adopted, with one comment that is kept up to date."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime

from mlinfra.git import GitRepository
from mlinfra.problems import MlinfraError
from mlinfra.promotion.comment import KEY, comment
from mlinfra.promotion.delivery import Base, Delivered, title_of
from mlinfra.promotion.difference import Promotion
from mlinfra.promotion.preconditions import approved


def ask_for_review(
    git: GitRepository, base: Base, promotion: Promotion, pushed: Delivered, *, supersede: bool, now: datetime
) -> tuple[Promotion, Delivered]:
    """Open or adopt the pull request of a pushed branch; return what is known with its approvals, and the request.

    Raises:
        MlinfraError: the host did not open it; the branch is there.
    """
    from mlinfra.hosts import host_of

    target = promotion.target.environment
    try:
        host = host_of(git, os.environ)
        request = host.open_or_adopt(
            pushed.branch, base.branch, pushed.commit, title_of(promotion), comment(promotion, supersede=supersede)
        )
        given = host.approvals(request.number) if target.approvals else None
    except MlinfraError as error:
        raise MlinfraError(
            f"{pushed.branch} is pushed, but its pull request is not open: {error.message}",
            remedy=error.remedy or "run this again: it goes on from there; or open the pull request by hand",
        ) from error
    known = [approved(target, given, direct=False) if item.name == "approvals" else item
             for item in promotion.preconditions]  # fmt: skip
    promotion = replace(promotion, preconditions=known)
    delivered = replace(pushed, pull_request=request)
    try:
        host.comment_sticky(request.number, KEY, int(now.timestamp()), comment(promotion, supersede=supersede))
    except MlinfraError as error:
        delivered = replace(delivered, notes=[*pushed.notes, f"the comment could not be written: {error.message}"])
    return promotion, delivered

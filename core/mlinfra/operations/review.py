"""What a plan says beside its changes: what they cost, and which rules they break."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.operations.check import Checked, check_session
from mlinfra.prices.estimate import Estimate, estimate
from mlinfra.prices.own import repository_book

if TYPE_CHECKING:
    from mlinfra.operations.session import Session
    from mlinfra.resources import Resources


@dataclass(frozen=True)
class Review:
    """The findings on what is declared, and the estimates of what is there now and of what is declared."""

    checked: Checked
    now: Estimate
    then: Estimate

    def to_json(self) -> dict[str, Any]:
        """Return the fields that `plan --json` adds."""
        return {
            "cost": {
                "now_monthly_usd": self.now.monthly.to_json() if self.now.monthly else None,
                "then_monthly_usd": self.then.monthly.to_json() if self.then.monthly else None,
                "idle_usd": float(self.then.idle),
                "unpriced": [item.to_json() for item in self.then.unpriced],
                "prices_as_of": self.then.prices_as_of,
            },
            "findings": [finding.to_json() for finding in self.checked.findings],
        }


def review(session: Session, declared: Resources, state: Resources) -> Review:
    """Judge and price what is declared, and price what is there.

    Raises:
        Problems: all problems of the rules.
    """
    environment, book = session.environment, repository_book(session.repository.root)
    now, then = (
        estimate(resources, book, usage=environment.usage, commitments=environment.commitments)
        for resources in (state, declared)
    )
    return Review(check_session(session, declared, state), now, then)

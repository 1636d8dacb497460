"""What a promotion moves, and all that differs in the target with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.diff import Change
from mlinfra.durations import seconds
from mlinfra.operations.release_difference import Difference, difference_of
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError, Problems
from mlinfra.promotion.preconditions import Precondition
from mlinfra.releases import Lock, Pin, Release
from mlinfra.resolve import Declared, resolve

if TYPE_CHECKING:
    from mlinfra.operations.plan import Plan

COUNTED = (Change.CREATE, Change.UPDATE, Change.REPLACE, Change.MAY_REPLACE, Change.DELETE)


@dataclass(frozen=True)
class Move:
    """One endpoint's release, and the one that the target pins before it: none at the first promotion.

    `instead`: what is pinned failed its rollout, and the one before is what serves instead. `upstream` and `downstream`
    are the endpoint's part in both environments.
    """

    release: Release
    previous: Release | None
    upstream: ResolvedPart
    downstream: ResolvedPart
    instead: bool = False

    @property
    def endpoint(self) -> str:
        """The endpoint's name in the target."""
        return self.downstream.part.name

    @property
    def difference(self) -> Difference | None:
        """What tells the two apart; None at the first promotion."""
        return difference_of(self.previous, self.release) if self.previous else None

    @property
    def warm_seconds(self) -> int:
        """How long the previous release stays warm: until the rollout must be over, and then as long as declared."""
        endpoint = self.downstream.part
        assert isinstance(endpoint, Endpoint)
        rollout = endpoint.rollout
        return len(rollout.steps) * seconds(rollout.bake) + seconds(rollout.keep_warm)

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `promote --json` prints."""
        shown = self.difference.to_json() if self.difference else None
        if shown is not None:
            del shown["version"], shown["cost"]
        return {
            "endpoint": self.endpoint,
            "release": self.release.digest,
            "previous": self.previous.digest if self.previous else None,
            "metrics": dict(self.release.provenance.metrics),
            "difference": shown,
        }


@dataclass(frozen=True)
class Promotion:
    """What would move from one environment to another, what it changes there, and what must hold before.

    `plan` is that of the target with the new lock, with costs and findings, or why there is none."""

    stack: str
    source: Session
    target: Session
    moves: Sequence[Move]
    plan: Plan | str
    preconditions: Sequence[Precondition]
    supersede: bool = False
    """Whether it replaces a rollout that is under way in the target."""

    @property
    def commands(self) -> dict[str, str]:
        """What a person does next, and with which command; there is no way back from a first release."""
        source, target = self.source.environment.name, self.target.environment.name
        replaced = " --supersede" if self.supersede else ""
        shown = {
            "look at this again": f"mlinfra promote {self.stack} --from {source} --to {target}{replaced}",
            "roll out, once it is merged": f"mlinfra up {target}{replaced}",
            "see how far it is": f"mlinfra status {target}",
        }
        if any(move.previous for move in self.moves):
            shown["roll back"] = f"mlinfra rollback {target} {self.stack}"
        return shown

    @property
    def refused(self) -> bool:
        """Whether nothing may be promoted before somebody does something about it."""
        return any(item.refuses for item in self.preconditions)

    @property
    def open(self) -> Sequence[Precondition]:
        """The preconditions that are not met."""
        return [item for item in self.preconditions if not item.met]

    @property
    def counts(self) -> dict[str, int]:
        """How many resources of the target change in which way; empty where there is no plan."""
        if isinstance(self.plan, str):
            return {}
        changes = self.plan.changes
        return {kind.value: sum(item.change is kind for item in changes) for kind in COUNTED}

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `promote --json`, version 1."""
        plan = None if isinstance(self.plan, str) else self.plan
        review = plan.review.to_json() if plan and plan.review else {}
        return {
            "version": 1,
            "stack": self.stack,
            "from": self.source.environment.name,
            "to": self.target.environment.name,
            "moves": [move.to_json() for move in self.moves],
            "preconditions": [item.to_json() for item in self.preconditions],
            "promotable": not self.open,
            "refused": self.refused,
            "plan": self.counts or None,
            "cost": review.get("cost"),
            "findings": review.get("findings", []),
        }


def with_releases(declared: Declared, lock: Lock, releases: Sequence[Release]) -> Declared:
    """Return what is declared, with another lock and the releases that it names."""
    return replace(declared, lock=lock, releases={**declared.releases, **{each.digest: each for each in releases}})


def promoted_lock(declared: Declared, moves: Sequence[tuple[str, Release, Release | None]]) -> dict[str, Pin]:
    """Return the pins with each endpoint's release and previous one put in place; holds stay."""
    lock = dict(declared.lock)
    for endpoint, release, previous in moves:
        before = lock.get(endpoint)
        lock[endpoint] = Pin(
            release=release.digest, previous=previous.digest if previous else None, hold=before.hold if before else None
        )
    return lock


def planned(target: Session, declared: Declared) -> tuple[Session, Plan | str]:
    """Return the target's session and plan with another lock, or why it cannot be planned; nothing is written."""
    from mlinfra.operations.plan import plan_of
    from mlinfra.operations.review import review

    try:
        session = Session(target.repository, declared, target.adapter, resolve(declared, target.adapter))
        plan = plan_of(session)
        return session, replace(plan, review=review(session, plan.resources, plan.state))
    except Problems as error:
        return target, "; ".join(str(problem).splitlines()[0] for problem in error.problems)
    except MlinfraError as error:
        return target, error.message

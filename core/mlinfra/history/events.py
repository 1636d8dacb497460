"""What can happen in an environment. An event is a fact with a source; what is not known of it is None."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from mlinfra.digests import short
from mlinfra.rollout.record import GateResult, stamp


class Kind(StrEnum):
    """What happened.

    From git, each a change of the lock: `promotion`, another release is pinned; `rollback`, the previous one again;
    `hold` and `resume`; `edit`, anything else. From the target and the states that Pulumi keeps: `rollout`. From
    Pulumi: `up`, `down`, `refresh`, and `other` for what mlinfra never asks of it.
    """

    PROMOTION = "promotion"
    ROLLBACK = "rollback"
    HOLD = "hold"
    RESUME = "resume"
    EDIT = "edit"
    ROLLOUT = "rollout"
    UP = "up"
    DOWN = "down"
    REFRESH = "refresh"
    OTHER = "other"


class Outcome(StrEnum):
    """How it ended.

    `done`: a change of the lock. `served`, `failed`, `rolled back`, `superseded` (another one took its place): a
    rollout. `succeeded`, `failed`: a run of Pulumi. `waiting`: it has not ended; `unknown`: nothing remembers its end.
    """

    DONE = "done"
    SERVED = "served"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    SUPERSEDED = "superseded"
    SUCCEEDED = "succeeded"
    WAITING = "waiting"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    `started` and `ended` are times in UTC; what happens at once (a commit) has only `ended`. `release` came in the
    place of `previous`; both are named as the source names them. `verified` is when a rollout was found to
    serve as declared, `detected` when it was found to be bad.
    `who` did it; `merged_by` is who brought it to this branch, where that is another commit. `why` is the first line
    of the commit's message, the hold's reason, or what failed. `changed` counts the resources that were touched.
    `approvals` has, by who had to approve a rollout, who did.
    """

    kind: Kind
    outcome: Outcome
    source: str
    started: datetime | None = None
    ended: datetime | None = None
    verified: datetime | None = None
    detected: datetime | None = None
    endpoint: str | None = None
    stack: str | None = None
    release: str | None = None
    previous: str | None = None
    who: str | None = None
    merged_by: str | None = None
    why: str = ""
    note: str = ""
    commit: str | None = None
    pull_request: str | None = None
    changed: int | None = None
    gates: Sequence[GateResult] = ()
    approvals: Mapping[str, str] = field(default_factory=dict)

    @property
    def at(self) -> datetime | None:
        """When it began, or happened."""
        return self.started or self.ended

    @property
    def seconds(self) -> float | None:
        """How long it lasted; None where the beginning or the end is not known, and where clocks disagree."""
        return between(self.started, self.ended)

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `history --json` prints; releases by their first 12 digits."""
        return {
            "kind": self.kind.value,
            "at": _time(self.at),
            "ended": _time(self.ended),
            "verified": _time(self.verified),
            "detected": _time(self.detected),
            "seconds": self.seconds,
            "outcome": self.outcome.value,
            "stack": self.stack,
            "endpoint": self.endpoint,
            "release": short(self.release) if self.release else None,
            "previous": short(self.previous) if self.previous else None,
            "who": self.who,
            "merged_by": self.merged_by,
            "why": self.why or None,
            "note": self.note or None,
            "changed": self.changed,
            "commit": self.commit,
            "pull_request": self.pull_request,
            "gates": [gate.model_dump(mode="json") for gate in self.gates],
            "approvals": dict(self.approvals),
            "source": self.source,
        }


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds from `start` to `end`, or None where one is unknown or `end` is before `start`."""
    if start is None or end is None or end < start:
        return None
    return (end - start).total_seconds()


def same_release(one: str | None, other: str | None) -> bool:
    """Whether two names, digests or their first digits, are of one release."""
    if not one or not other:
        return False
    first, second = (name.removeprefix("sha256:").lower() for name in (one, other))
    return first.startswith(second) or second.startswith(first)


def in_order(events: Iterable[Event]) -> list[Event]:
    """Return the events, oldest first; one whose time is not known comes before all others."""
    return sorted(events, key=lambda event: (event.at is not None, event.at.timestamp() if event.at else 0.0))


def with_stacks(events: Iterable[Event], stacks: Mapping[str, str]) -> list[Event]:
    """Return the events with the stacks of their endpoints, where `stacks` knows them."""
    return [replace(event, stack=stacks.get(event.endpoint or "", event.stack)) for event in events]


def _time(time: datetime | None) -> str | None:
    return stamp(time) if time else None

"""What the events of an environment say of how it is delivered to: the measures of DORA, and the time to detect.

Pure. docs/history.md has each definition and its source. What cannot be computed is None with a reason, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Any

from mlinfra.history.events import Event, Kind, Outcome, between, in_order, same_release

_DAY_SECONDS = 86_400
_NONE, _NOT_REMEMBERED = "there was none", "nothing remembers how a deployment went"
_BAD = (Outcome.FAILED, Outcome.ROLLED_BACK)


@dataclass(frozen=True)
class Measure:
    """A number, or None and the `reason`; computed from `of` deployments, while `left_out` ones tell too little."""

    name: str
    value: float | None
    unit: str
    of: int
    left_out: int
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `history --json` prints."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "of": self.of,
            "left_out": self.left_out,
            "reason": self.reason or None,
        }


@dataclass(frozen=True)
class Deployment:
    """A release that was brought to an endpoint: `outcome` is None where nothing remembers how it went.

    It took its first requests at `started`; it was found bad at `detected`; at `ended` it was verified, or what
    served before it had all requests again.
    """

    endpoint: str | None
    release: str | None
    at: datetime
    outcome: Outcome | None
    started: datetime | None = None
    detected: datetime | None = None
    verified: datetime | None = None
    ended: datetime | None = None


def deployments(events: Iterable[Event]) -> list[Deployment]:
    """Return the deployments: the rollouts that have ended, and the promotions that no rollout tells of.

    A rollout whose place another one took did not end by itself, and is none.
    """
    ordered = in_order(event for event in events if event.at is not None)
    moves = [event for event in ordered if event.kind in (Kind.PROMOTION, Kind.ROLLBACK)]
    rollouts = [event for event in ordered if event.kind is Kind.ROLLOUT]
    found = []
    for event in rollouts:
        if event.outcome not in (Outcome.WAITING, Outcome.SUPERSEDED):
            served = event.outcome in (Outcome.SERVED, Outcome.UNKNOWN)
            told = _deployment(event, None if event.outcome is Outcome.UNKNOWN else event.outcome)
            if served and _taken_back(event, moves, rollouts):
                # A commit tells that it was taken back; when requests went back, it does not.
                told = replace(told, outcome=Outcome.ROLLED_BACK, ended=None)
            found.append(told)
    for event in moves:
        if event.kind is Kind.PROMOTION and not _is_told(event, moves, rollouts):
            found.append(_deployment(event, Outcome.ROLLED_BACK if _taken_back(event, moves, rollouts) else None))
    return sorted(found, key=lambda item: item.at)


def measures(
    events: Iterable[Event],
    start: datetime | None,
    end: datetime,
    *,
    complete: bool,
    committed: Mapping[str, datetime],
) -> list[Measure]:
    """Return all measures of the deployments from `start` (None: the first event) to `end`.

    `complete` says that nothing is missing, so that no deployment means none; `committed` has the time of the commit
    that each release (by its name in the events) was made at.
    """
    known = list(events)
    times = [event.at for event in known if event.at is not None]
    start = start or min(times, default=None)
    within = [item for item in deployments(known) if start is not None and start <= item.at <= end]
    return [
        _frequency(within, between(start, end), complete=complete),
        _lead_time(within, committed),
        _failure_rate(within),
        _of_failed("failed deployment recovery time", within, lambda item: between(item.started, item.ended)),
        _of_failed("time to detect", within, lambda item: between(item.started, item.detected)),
    ]


def _frequency(found: Sequence[Deployment], seconds: float | None, *, complete: bool) -> Measure:
    known = sum(item.outcome is not None for item in found)
    left_out = len(found) - known
    reason = ""
    if seconds is None or seconds < _DAY_SECONDS:
        reason = "less than a day is looked at"
    elif not known and (left_out or not complete):
        reason = _NOT_REMEMBERED if left_out else "not every source could be read"
    value = None if reason or seconds is None else known / (seconds / _DAY_SECONDS)
    return Measure("deployment frequency", value, "a day", known, left_out, reason)


def _lead_time(found: Sequence[Deployment], committed: Mapping[str, datetime]) -> Measure:
    served = [item for item in found if item.outcome is not Outcome.FAILED]
    known = [between(committed.get(item.release or ""), item.verified) for item in served]
    return _median("lead time for changes", known, "no deployment with a known commit was verified", _NONE)


def _failure_rate(found: Sequence[Deployment]) -> Measure:
    known = [item for item in found if item.outcome is not None]
    name, left_out = "change failure rate", len(found) - len(known)
    if not known:
        reason = _NOT_REMEMBERED if found else _NONE
        return Measure(name, None, "share", 0, left_out, reason)
    return Measure(name, len(_failed(known)) / len(known), "share", len(known), left_out)


def _of_failed(name: str, found: Sequence[Deployment], time: Callable[[Deployment], float | None]) -> Measure:
    """Return the median of a time of the deployments that failed; that there was none is said only if all are known."""
    none = _NONE if all(item.outcome for item in found) else _NOT_REMEMBERED
    return _median(name, [time(item) for item in _failed(found)], "nothing remembers when it was", none)


def _median(name: str, seconds: Sequence[float | None], missing: str, none: str) -> Measure:
    """Return the median of what is known; else the reason: `missing` where there is something, `none` where not."""
    known = [value for value in seconds if value is not None]
    reason = "" if known else missing if seconds else none
    return Measure(name, median(known) if known else None, "seconds", len(known), len(seconds) - len(known), reason)


def _failed(found: Iterable[Deployment]) -> list[Deployment]:
    return [item for item in found if item.outcome in _BAD]


def _deployment(event: Event, outcome: Outcome | None) -> Deployment:
    assert event.at is not None
    ended = event.ended if event.kind is Kind.ROLLOUT else None
    return Deployment(
        event.endpoint, event.release, event.at, outcome, event.started, event.detected, event.verified, ended
    )


def _until_next(event: Event, moves: Sequence[Event]) -> tuple[datetime, Event | None]:
    """Return the time of an event, and the next change of the endpoint's lock after it that pins another release."""
    assert event.at is not None
    for move in moves:
        later = move is not event and move.at is not None and move.at >= event.at
        if later and move.endpoint == event.endpoint and not same_release(move.release, event.release):
            return event.at, move
    return event.at, None


def _is_told(promotion: Event, moves: Sequence[Event], rollouts: Sequence[Event]) -> bool:
    """Whether a rollout tells how a promotion went, or that it is going on."""
    start, following = _until_next(promotion, moves)
    return any(
        rollout.endpoint == promotion.endpoint
        and same_release(rollout.release, promotion.release)
        and rollout.at is not None
        and rollout.at >= start
        and (following is None or following.at is None or rollout.at <= following.at)
        for rollout in rollouts
    )


def _taken_back(event: Event, moves: Sequence[Event], rollouts: Sequence[Event]) -> bool:
    """Whether the next change of the lock rolls the release back, and it was not rolled out again before that."""
    start, following = _until_next(event, moves)
    if following is None or following.kind is not Kind.ROLLBACK or following.at is None:
        return False
    again = any(
        other is not event and other.endpoint == event.endpoint and same_release(other.release, event.release)
        and other.at is not None and start < other.at <= following.at
        for other in rollouts
    )  # fmt: skip
    return same_release(following.previous, event.release) and not again

"""Rollouts as events, from the records that are kept beside the weights: at the target now, and in old states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from mlinfra.declarations.check import Answer
from mlinfra.history.events import Event, Kind, Outcome, between, in_order, same_release
from mlinfra.rollout.record import Failure, GateResult, Phase, RolloutRecord, moment, shown

_OUTCOMES = {
    Phase.SHADOW: Outcome.WAITING,
    Phase.STEP: Outcome.WAITING,
    Phase.SERVED: Outcome.SERVED,
    Phase.FAILED: Outcome.FAILED,
    Phase.ROLLED_BACK: Outcome.ROLLED_BACK,
}

_ROLLED_BACK, _SUPERSEDED = "was rolled back", "was superseded"
"""How the reason of a failure begins that is none of the release's own gates."""


@dataclass(frozen=True)
class Kept:
    """A record as it was kept somewhere (`source`) for an endpoint."""

    endpoint: str
    record: RolloutRecord
    source: str


def records_in(state: Mapping[str, Any], source: str) -> Iterator[Kept]:
    """Yield the records in an exported state or a checkpoint, wherever its Traffic resources keep them."""
    latest = state.get("deployment") or (state.get("checkpoint") or {}).get("latest") or {}
    for resource in latest.get("resources") or ():
        if not str(resource.get("type", "")).endswith(":Traffic"):
            continue
        kept = {**(resource.get("inputs") or {}), **(resource.get("outputs") or {})}
        for value in kept.values():
            if isinstance(value, dict) and {"release", "phase"} <= value.keys():
                try:
                    yield Kept(str(kept.get("endpoint", "")), RolloutRecord.model_validate(value), source)
                except ValidationError:
                    continue  # of a version that kept it in another way


def rollouts(records: Iterable[Kept]) -> list[Event]:
    """Return one event for each rollout, as the newest record of it tells; the records come oldest first.

    A record is written over by the next rollout's. What one that was never seen at its end came to is told by the
    failures that the later ones remember, and by what they found serving; else it is unknown.
    """
    found: dict[tuple[str, str, str], Event] = {}
    failures: dict[tuple[str, str, str], Event] = {}
    newest: dict[str, Event] = {}
    for kept in records:
        record = kept.record
        key = (kept.endpoint, record.release, record.started)
        event = _rollout(kept)
        if key in found and event.verified is None:
            event = replace(event, verified=found[key].verified)
        _conclude(found, newest.get(kept.endpoint), event)
        found[key] = newest[kept.endpoint] = event
        for failure in record.failures:
            failures.setdefault((kept.endpoint, failure.release, failure.at), _failure(kept, failure))
    for failed in failures.values():
        if not any(_tells_of(known, failed) for known in found.values()):
            _end(found, failed)
    return _without_returns(in_order(found.values()))


def _end(found: dict[tuple[str, str, str], Event], failed: Event) -> None:
    """Say that the rollout that was seen last of a release failed; one that was never seen has no beginning."""
    for key, begun in reversed(found.items()):
        if _led_to(begun, failed):
            found[key] = replace(
                begun, outcome=failed.outcome, ended=failed.ended, detected=failed.detected, why=failed.why
            )  # fmt: skip
            return
    found[failed.endpoint or "", failed.release or "", str(failed.ended)] = failed


def _conclude(found: dict[tuple[str, str, str], Event], before: Event | None, after: Event) -> None:
    """Say how the rollout before ended, which was last seen going on, now that the next one is seen."""
    if before is None or before.outcome is not Outcome.WAITING or before.started == after.started:
        return
    served = same_release(before.release, after.previous)
    key = next(key for key, event in found.items() if event is before)
    found[key] = replace(before, outcome=Outcome.SERVED if served else Outcome.UNKNOWN, why="")


def _rollout(kept: Kept) -> Event:
    record = kept.record
    failure = record.failure(record.release)
    outcome = _OUTCOMES[record.phase]
    event = Event(
        Kind.ROLLOUT, outcome, kept.source, started=_moment(record.started), endpoint=kept.endpoint,
        release=record.release, previous=record.previous, gates=tuple(record.gates),
        approvals=record.approvals,
    )  # fmt: skip
    if outcome is Outcome.SERVED:
        verified = _moment(record.verified)
        return replace(event, ended=verified, verified=verified)
    if outcome is Outcome.WAITING:
        return replace(event, why=_waits_for(record))
    since = _moment(record.since)
    if failure is None:
        return replace(event, ended=since, why=_failed(record.gates))
    told, detected = _failure(kept, failure), _moment(failure.at)
    ended = max((time for time in (detected, since) if time), default=None)
    return replace(event, outcome=told.outcome, ended=ended, detected=told.detected, why=failure.reason)


def _failure(kept: Kept, failure: Failure) -> Event:
    """Return what is remembered of a rollout that ended badly: its end, and not its beginning."""
    known = ((_ROLLED_BACK, Outcome.ROLLED_BACK), (_SUPERSEDED, Outcome.SUPERSEDED))
    outcome = next((outcome for words, outcome in known if failure.reason.startswith(words)), Outcome.FAILED)
    at = _moment(failure.at)
    return Event(
        Kind.ROLLOUT, outcome, kept.source, ended=at, detected=None if outcome is Outcome.SUPERSEDED else at,
        endpoint=kept.endpoint, release=failure.release, why=failure.reason,
    )  # fmt: skip


def _without_returns(events: Sequence[Event]) -> list[Event]:
    """Leave out what only says that a release serves again, after another was taken back: no time passed in it."""
    known: set[str | None] = set()
    kept = []
    for event in events:
        again = event.endpoint in known and event.outcome is Outcome.SERVED and event.seconds == 0
        known.add(event.endpoint)
        if not again:
            kept.append(event)
    return kept


def _waits_for(record: RolloutRecord) -> str:
    if record.paused:
        return f"paused: {record.paused}"
    where = "copies of requests" if record.phase is Phase.SHADOW else f"step {record.step + 1}"
    return where + (f", watched until {shown(record.until)}" if record.until else "")


def _failed(gates: Iterable[GateResult]) -> str:
    return "; ".join(gate.message or gate.gate for gate in gates if gate.answer is Answer.FAIL)


def _tells_of(rollout: Event, failure: Event) -> bool:
    """Whether a rollout's own record tells of a failure."""
    bad = rollout.outcome not in (Outcome.SERVED, Outcome.WAITING, Outcome.UNKNOWN)
    same = rollout.endpoint == failure.endpoint and same_release(rollout.release, failure.release)
    return bad and same and (failure.ended is None or rollout.ended is None or failure.ended <= rollout.ended)


def _led_to(rollout: Event, failure: Event) -> bool:
    """Whether a failure can be the end of a rollout that was last seen going on, or serving."""
    open_end = rollout.outcome in (Outcome.SERVED, Outcome.WAITING, Outcome.UNKNOWN)
    same = rollout.endpoint == failure.endpoint and same_release(rollout.release, failure.release)
    return open_end and same and between(rollout.started, failure.ended) is not None


def _moment(text: str | None) -> datetime | None:
    """Return a time that a record names, or None where it names none that can be read."""
    try:
        time = moment(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)

"""rollout pause, resume, finish: what a person decides of a rollout that is under way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.operations.rollout import Asked, apply, situation
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError, WrongUse
from mlinfra.repository import Repository
from mlinfra.rollout.reconcile import Shift, Situation, approved, finished, mirror_of, paused, step_of, watched_anew
from mlinfra.rollout.record import shown


class Decision(StrEnum):
    """What a person decides: to stop at this step, to go on with it, to give the release everything now, or that it
    may go on as far as a gate asks for it."""

    PAUSE = "pause"
    RESUME = "resume"
    FINISH = "finish"
    APPROVE = "approve"


def decide(repository: Repository, name: str, decision: Decision, *, reason: str, owner: str) -> Sequence[str]:
    """Carry a decision out at every rollout of an environment; return what was done.

    Raises:
        WrongUse: no rollout is under way.
        MlinfraError: the target does not take it.
    """
    session = Session.open(repository, name)
    said = []
    for part in session.resolved.of_kind(Endpoint):
        it = situation(session, part, Asked(), datetime.now(UTC))
        record = it.serving.rollout
        if record is None or not record.is_under_way:
            continue
        shift = _shift(it, decision, f"{owner}: {reason}")
        if not apply(session, it, shift):
            raise MlinfraError(
                f"{part.part.name}: somebody else shifted the traffic just now", remedy="look, and decide again"
            )
        said.append(f"{part.part.name}: {shift.says}")
    if not said:
        raise WrongUse(f"no rollout is under way in {name}")
    return said


def _shift(it: Situation, decision: Decision, why: str) -> Shift:
    record = it.serving.rollout
    assert record is not None
    if decision is Decision.FINISH:
        return finished(it, record, why)
    if decision is Decision.APPROVE:
        return Shift(it.weights, approved(it, record, why), f"approved by {why}", mirror_of(record))
    if decision is Decision.PAUSE:
        return Shift(it.weights, paused(it, record, why), f"paused by {why}", mirror_of(record))
    # with the share of its step, also where somebody took some of it by hand
    changed = watched_anew(it, record)
    return Shift(
        step_of(it.declared, record), changed, f"goes on, watched until {shown(changed.until)}", mirror_of(record)
    )

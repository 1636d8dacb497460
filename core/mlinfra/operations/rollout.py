"""Rolling out: does what is due at every endpoint, until there is something to wait for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.problems import MlinfraError, Refused
from mlinfra.resources import Resources
from mlinfra.rollout.reconcile import Done, Due, Shift, Situation, Stop, Wait, back, due, mirror_of
from mlinfra.rollout.record import GateResult, Phase, RolloutRecord, moment
from mlinfra.rollout.samples import NoData, Samples

if TYPE_CHECKING:
    from mlinfra.operations.progress import Progress
    from mlinfra.operations.session import Session
    from mlinfra.pulumi_stack import PulumiStack

_MOST_SHIFTS = 20
"""More at one time would be a mistake of ours: an endpoint has at most a hundred steps, with waiting between them."""

_SHORTEST_WINDOW = timedelta(seconds=1)
"""Clouds take a window in whole seconds, and refuse one whose end is its start:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html"""

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Asked:
    """What a person asks of a rollout: to try a failed release again, or to replace one that is on its way."""

    retry: bool = False
    supersede: bool = False


@dataclass(frozen=True)
class Standing:
    """How far an endpoint is: what is due there next, and how many shifts it took to get here."""

    part: ResolvedPart
    due: Due
    shifts: int
    failed: bool = False
    """Whether a gate failed now, and the share went back."""

    @property
    def waits(self) -> bool:
        """Whether time will bring it on."""
        return isinstance(self.due, Wait)

    @property
    def stopped(self) -> bool:
        """Whether it failed, or does not go on by itself and should."""
        return self.failed or (isinstance(self.due, Stop) and self.due.failed)

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `up --json` and `tick --json` print."""
        until = self.due.until if isinstance(self.due, Wait) else None
        return {
            "endpoint": self.part.part.name,
            "state": "waiting" if self.waits else "stopped" if self.stopped else "done",
            "says": getattr(self.due, "says", ""),
            "until": until.isoformat() if until else None,
            "shifts": self.shifts,
        }


def roll_out(
    session: Session,
    say: Callable[[str], None],
    asked: Asked | None = None,
    *,
    clock: Clock | None = None,
    only_back: bool = False,
) -> list[Standing]:
    """Do what is due at every endpoint of an environment; with `only_back`, nothing but take back what fails.

    Raises:
        MlinfraError: the target does not take a shift.
    """
    asked = asked or Asked()
    clock = clock or (lambda: datetime.now(UTC))
    return [_endpoint(session, part, say, asked, clock, only_back) for part in session.resolved.of_kind(Endpoint)]


def settle_superseded(session: Session, say: Callable[[str], None], asked: Asked) -> None:
    """Take back each rollout of a release that is not declared any more, before its server goes.

    Raises:
        Refused: nobody asked for that.
    """
    for part in session.resolved.of_kind(Endpoint):
        it = situation(session, part, asked, datetime.now(UTC))
        record, deployed = it.serving.rollout, {item.release.short for item in part.deployments}
        if record is None or not record.is_under_way or record.release in deployed:
            continue
        if not asked.supersede:
            raise Refused(
                f"{part.part.name}: {record.release} is being rolled out, and {it.wanted} is declared now",
                remedy="wait for its end, mlinfra rollback takes it back, --supersede replaces it",
            )
        shift = back(it, record, f"was superseded by {it.wanted}", Phase.FAILED)
        say(f"{part.part.name}: {shift.says}")
        apply(session, it, shift)


def keep_in_state(session: Session, stack: PulumiStack, progress: Progress, standings: Sequence[Standing]) -> None:
    """Bring Pulumi's state in line with the shifts; where another run holds its lock, say that it will be later."""
    keys = {standing.part.key for standing in standings if standing.shifts}
    if not keys:
        return
    state = Resources.from_state(stack.export())
    found = [item for item in state.declared() if state.part_of(item) in keys]
    # what a shift changes is what an `up` leaves alone; all else of the endpoint is not this operation's to record
    urns = [item.urn for item in found if session.adapter.kept_by(item.type)] or [item.urn for item in found]
    try:
        stack.refresh(progress.step, urns)
    except MlinfraError as error:
        progress.note(f"the shift is made, and not recorded in the state yet: {error.message}; the next up records it")


def situation(session: Session, part: ResolvedPart, asked: Asked, now: datetime) -> Situation:
    """Return an endpoint as it is now."""
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    pin = session.declared.pin(endpoint)
    serving = session.service.observe(endpoint.renamed_from or endpoint.name)
    return Situation(
        wanted=part.deployments[0].release.short if part.deployments else None,
        serving=serving,
        declared=endpoint.rollout,
        now=now,
        gates=cache(lambda since: measured(session, part, since, now, serving.rollout)),
        holder=f"{socket.gethostname()}:{os.getpid()}",
        hold=pin.hold if pin else None,
        retry=asked.retry,
        supersede=asked.supersede,
    )


def measured(
    session: Session, part: ResolvedPart, since: datetime, now: datetime, record: RolloutRecord | None
) -> Sequence[GateResult]:
    """Return what the gates of an endpoint say of the wanted release, over what came since a time."""
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    if not endpoint.rollout.gates:
        return ()
    from mlinfra.rollout.asking import Asking
    from mlinfra.rollout.gates import evaluate
    from mlinfra.rollout.significance import ALPHA, EARLY_ALPHA

    def samples(start: datetime, end: datetime) -> Samples | NoData:
        if end - start < _SHORTEST_WINDOW:
            return NoData("it began less than a second ago")
        return session.service.samples(part, start, end)

    return evaluate(
        endpoint.rollout.gates,
        samples(since, now),
        part.deployments[0].release.short,
        record.previous if record else None,
        min_samples=endpoint.rollout.min_samples,
        ask=Asking(session.repository.root, approvals=record.approvals if record else {}),
        # a step is looked at many times, and what is equal must not fail because of that
        alpha=EARLY_ALPHA if record and record.until and now < moment(record.until) else ALPHA,
        # with everything, there is nothing beside it: compare with what the one before did in the earlier steps
        before=lambda: samples(moment(record.started), since) if record else NoData("first"),
    )


def _endpoint(
    session: Session, part: ResolvedPart, say: Callable[[str], None], asked: Asked, clock: Clock, only_back: bool
) -> Standing:
    shifts = 0
    for _ in range(_MOST_SHIFTS):
        it = situation(session, part, asked, clock())
        next_ = due(it)
        if isinstance(next_, Shift):
            # gates may take minutes to answer, and a step begins when it begins
            next_ = due(replace(it, now=clock()))
        failed = isinstance(next_, Shift) and next_.record.failure(it.wanted or "") is not None
        if isinstance(next_, Shift) and only_back and not failed:
            return Standing(part, Wait(f"{next_.says}, once the other run has ended", None), shifts)
        if isinstance(next_, Shift):
            say(f"{part.part.name}: {next_.says}")
            if not apply(session, it, next_):
                continue  # somebody else's shift is the newer wish: look again
            _let_cool(session, part, next_)
            # of the first release the state says all there is: that it serves is remembered at the target alone
            shifts += it.serving.rollout is not None or next_.weights != it.weights
            if failed:
                return Standing(part, Stop(next_.says, failed=True), shifts, failed=True)
        else:
            if isinstance(next_, Wait) and next_.record is not None and _is_news(it, next_):
                apply(session, it, Shift(it.weights, next_.record, next_.says, mirror_of(next_.record)))
            return Standing(part, next_, shifts, failed=False)
    return Standing(part, Done(), shifts)


def _let_cool(session: Session, part: ResolvedPart, shift: Shift) -> None:
    """Say until when the previous release is warm, where no lock does."""
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    pin = session.declared.pin(endpoint)
    if session.environment.releases != "latest" or pin is None or shift.record.warm_until is None:
        return
    lines = {**pin.model_dump(exclude={"release"}), "warm_until": shift.record.warm_until}
    place = (session.environment.name, part.stack, endpoint.name)
    session.repository.artifacts(session.environment).put_newest(*place, pin.release, **lines)


def _is_news(it: Situation, wait: Wait) -> bool:
    """Whether what a wait remembers is worth a generation: other answers of gates, or another pause."""
    before, after = it.serving.rollout, wait.record
    assert after is not None
    if before is None or before.paused != after.paused:
        return True
    return [(item.gate, item.answer) for item in before.gates] != [(item.gate, item.answer) for item in after.gates]


def apply(session: Session, it: Situation, shift: Shift) -> bool:
    """Set the split; return False where somebody else did since we looked: theirs is the newer wish.

    Raises:
        MlinfraError: the target does not take it.
    """
    try:
        session.service.shift(it.serving.endpoint, shift.weights, it.serving.generation + 1, shift.record, shift.mirror)
    except Refused:
        if session.service.observe(it.serving.endpoint).generation <= it.serving.generation:
            raise
        return False
    return True

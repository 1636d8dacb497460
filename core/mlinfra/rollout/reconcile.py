"""What is due next in a rollout: a pure function of what is declared, what serves, what is remembered, and the time.

Whoever calls it again, after a kill or on another machine, gets the same answer from the same facts. So nothing needs
to be finished, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mlinfra.adapters import ServedRelease, Serving
from mlinfra.declarations.check import Answer
from mlinfra.declarations.endpoint import Rollout
from mlinfra.durations import seconds
from mlinfra.releases import Hold
from mlinfra.rollout.record import Failure, GateResult, Phase, RolloutRecord, moment, shown, stamp

ALL = 100
HEALTHY = "healthy"
SILENT_SECONDS = 60
"""How long a release may not answer before it is taken back: a server that was killed is there again sooner."""
Weights = Mapping[str, int]


@dataclass(frozen=True)
class Situation:
    """One endpoint as it is: `wanted` is the release that its lock names, `declared` how it takes the traffic.

    `gates` measures them over what came since a time, and is only asked when the answer matters. `retry` tries a
    release again that failed; `supersede` lets a newer release replace one that is being rolled out.
    """

    wanted: str | None
    serving: Serving
    declared: Rollout
    now: datetime
    gates: Callable[[datetime], Sequence[GateResult]]
    holder: str = ""
    hold: Hold | None = None
    retry: bool = False
    supersede: bool = False

    @property
    def weights(self) -> dict[str, int]:
        """The split really in force, without releases that get nothing."""
        return {item.release: item.weight for item in self.serving.releases if item.weight}

    def release(self, name: str | None) -> ServedRelease | None:
        """Return a release behind the endpoint, or None."""
        return next((item for item in self.serving.releases if item.release == name), None)


@dataclass(frozen=True)
class Shift:
    """Set the split and remember why."""

    weights: Weights
    record: RolloutRecord
    says: str
    mirror: Weights = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """Nothing is due before `until`; `record` is what to remember meanwhile, where that is new."""

    says: str
    until: datetime | None
    record: RolloutRecord | None = None


@dataclass(frozen=True)
class Stop:
    """Nothing will be due: it failed, is held, or a person must decide. `failed` is exit code 1."""

    says: str
    failed: bool
    remedy: str = ""


@dataclass(frozen=True)
class Done:
    """The wanted release serves everything; or nothing is wanted."""


Due = Shift | Wait | Stop | Done


def due(it: Situation) -> Due:
    """Return what is due at an endpoint."""
    wanted, record = it.wanted, it.serving.rollout
    if wanted is None or it.serving.url is None:
        return Done()
    if it.release(wanted) is None:
        return Stop(f"{wanted} is not deployed yet", failed=True, remedy="an up deploys it")
    if not it.weights:
        return _first(it, wanted)
    under_way = record is not None and record.is_under_way
    if it.hold is not None and (it.weights != {wanted: ALL} or under_way):
        return Stop(f"held by {it.hold.owner} since {shown(it.hold.since)}: {it.hold.reason}", failed=False)
    if record is not None and under_way and record.release == wanted:
        return _continued(it, record)
    if record is not None and under_way:
        return _superseded(it, record)
    if record is not None and (failure := record.failure(wanted)) and not it.retry:
        if it.weights.get(wanted) and it.release(record.previous) is not None and record.previous != wanted:
            return Shift(
                {record.previous or "": ALL}, record, f"{wanted} {failure.reason}, and had requests: put right"
            )
        return Stop(
            f"{wanted} {failure.reason} ({shown(failure.at)}); it is not tried again by itself", failed=True,
            remedy="up --retry tries it again; mlinfra promote brings another one",
        )  # fmt: skip
    if it.weights == {wanted: ALL}:
        return _served(it, wanted)
    served = record is not None and (record.release, record.phase) == (wanted, Phase.SERVED)
    if record is not None and served and it.weights == {record.previous: ALL} and not it.retry:
        taken_back = back(it, record, "was taken back by hand", Phase.ROLLED_BACK)
        return replace(taken_back, says=f"{wanted} was taken back by hand: {record.previous} goes on")
    return _begun(it, wanted)


def shares(step: int, declared: Rollout, record: RolloutRecord) -> dict[str, int]:
    """Return the split of a step: the release's share, and the rest for the one before."""
    share = declared.steps[min(step, len(declared.steps) - 1)]
    if record.previous is None or share == ALL:
        return {record.release: ALL}
    return {record.release: share, record.previous: ALL - share}


def step_of(declared: Rollout, record: RolloutRecord) -> dict[str, int]:
    """Return the split that a rollout under way is at."""
    if record.phase is Phase.SHADOW and record.previous is not None:
        return {record.previous: ALL}
    return shares(record.step, declared, record)


def back(it: Situation, record: RolloutRecord, reason: str, phase: Phase) -> Shift:
    """Return the shift that takes a rollout back, and remembers the release as one that is not tried again."""
    failures = [item for item in record.failures if item.release != record.release]
    failure = Failure(release=record.release, at=stamp(it.now), reason=reason)
    ended = record.model_copy(
        update={
            "phase": phase, "since": stamp(it.now), "until": None, "deadline": None, "paused": None,
            "failures": (*failures, failure), "held": it.holder, "verified": None,
        }
    )  # fmt: skip
    assert record.previous is not None
    return Shift({record.previous: ALL}, ended, f"{record.release} {reason}: back to {record.previous}")


def paused(it: Situation, record: RolloutRecord, why: str) -> RolloutRecord:
    """Return the record of a rollout that a person paused: it goes back at its deadline all the same."""
    deadline = it.now + timedelta(seconds=seconds(it.declared.patience))
    return record.model_copy(update={"paused": why, "deadline": stamp(deadline), "held": it.holder})


def watched_anew(it: Situation, record: RolloutRecord) -> RolloutRecord:
    """Return the record of a rollout that goes on with the step that it is at, watched for its whole time again."""
    return _watched(it, record, seconds(it.declared.bake))


def approved(it: Situation, record: RolloutRecord, why: str) -> RolloutRecord:
    """Return the record with the answer of everybody whom a gate of approval asks for."""
    asked = [gate.argument or "" for gate in it.declared.gates if gate.metric == "approval"]
    approvals = {**record.approvals, **dict.fromkeys(asked, f"{why} ({stamp(it.now)})")}
    return record.model_copy(update={"approvals": approvals, "held": it.holder})


def finished(it: Situation, record: RolloutRecord, why: str) -> Shift:
    """Return the shift that gives a release everything now, because a person says so."""
    ended = _remembered(it, record.release, record.previous)
    gate = GateResult(gate="finished by hand", answer=Answer.PASS, message=why)
    ended = ended.model_copy(update={"started": record.started, "gates": (*record.gates, gate)})
    return Shift({record.release: ALL}, ended, f"{record.release} serves everything: finished by {why}")


def _first(it: Situation, wanted: str) -> Due:
    """Nothing serves: there is nothing to be gradual about, and nothing to compare with."""
    found = it.release(wanted)
    assert found is not None
    if not found.healthy:
        return Stop(f"{wanted} is not healthy: {found.last_failure or 'it does not answer'}", failed=True)
    return Shift({wanted: ALL}, _remembered(it, wanted, None), f"{wanted} serves: it is the first")


def _remembered(it: Situation, wanted: str, previous: str | None) -> RolloutRecord:
    """Return the record of a release that serves everything."""
    now, known = stamp(it.now), it.serving.rollout
    return RolloutRecord(
        release=wanted, previous=previous, phase=Phase.SERVED, started=now, since=now, verified=now, held=it.holder,
        failures=[item for item in (known.failures if known else ()) if item.release != wanted],
    )  # fmt: skip


def _served(it: Situation, wanted: str) -> Due:
    record = it.serving.rollout
    if record is not None and (record.release, record.phase) == (wanted, Phase.SERVED):
        return Done()
    found = it.release(wanted)
    if found is None or not found.healthy:
        return Stop(f"{wanted} has all of the traffic and is not healthy", failed=True)
    before = record.previous if record is not None and record.previous != wanted else None
    return Shift({wanted: ALL}, _remembered(it, wanted, before), f"{wanted} serves everything")


def _begun(it: Situation, wanted: str) -> Due:
    found, known = it.release(wanted), it.serving.rollout
    assert found is not None
    if not found.healthy:
        said = found.last_failure or "it does not answer"
        return Stop(f"{wanted} is deployed beside and not healthy: {said}", failed=True)
    others = {release: share for release, share in it.weights.items() if release != wanted}
    previous = max(others, key=lambda release: others[release])
    failures = [item for item in (known.failures if known else ()) if item.release != wanted]
    record = RolloutRecord(
        release=wanted, previous=previous, phase=Phase.STEP, started=stamp(it.now), failures=failures
    )
    if it.declared.shadow:
        mirrored = _watched(it, record.model_copy(update={"phase": Phase.SHADOW}), seconds(it.declared.shadow))
        return Shift({previous: ALL}, mirrored, f"{wanted} gets copies of requests", {wanted: ALL})
    return _step(it, record, 0)


def _step(it: Situation, record: RolloutRecord, step: int) -> Shift:
    record = record.model_copy(update={"phase": Phase.STEP, "step": step})
    split = shares(step, it.declared, record)
    share = split[record.release]
    # with everything, and nothing to ask, there is nothing to wait for
    length = seconds(it.declared.bake) if it.declared.gates or share < ALL else 0
    return Shift(split, _watched(it, record, length), f"{record.release} gets {share} %")


def _watched(it: Situation, record: RolloutRecord, length: float) -> RolloutRecord:
    until = it.now + timedelta(seconds=length)
    deadline = until + timedelta(seconds=seconds(it.declared.patience))
    return record.model_copy(
        update={
            "since": stamp(it.now), "until": stamp(until), "deadline": stamp(deadline), "held": it.holder,
            "gates": (), "paused": None,
        }
    )  # fmt: skip


def _superseded(it: Situation, record: RolloutRecord) -> Due:
    if not it.supersede:
        return Stop(
            f"{record.release} is being rolled out, and {it.wanted} is declared now", failed=True,
            remedy="--supersede replaces it",
        )  # fmt: skip
    return back(it, record, f"was superseded by {it.wanted}", Phase.FAILED)


def _continued(it: Situation, record: RolloutRecord) -> Due:
    if (changed := _by_hand(it, record)) is not None:
        return changed
    if record.until is None or it.now < moment(record.since):
        # a clock that went back: watch the whole time again
        return Shift(it.weights, _watched(it, record, seconds(it.declared.bake)), "watched anew", mirror_of(record))
    results = [*_health(it, record), *it.gates(moment(record.since))]
    seen = record.model_copy(update={"gates": results, "held": it.holder})
    if failed := [item for item in results if item.answer is Answer.FAIL]:
        return replace(back(it, seen, f"failed {_told(failed[0])}", Phase.FAILED))
    deadline = moment(record.deadline or record.until)
    if record.paused:
        if it.now >= deadline:
            return back(it, seen, f"was paused until its deadline ({record.paused})", Phase.FAILED)
        return Wait(f"paused: {record.paused}; goes back at its deadline", deadline, seen)
    if it.now < moment(record.until):
        share = it.weights.get(record.release, 0)
        return Wait(f"{record.release} is watched at {share} %", moment(record.until), seen)
    shadow = record.phase is Phase.SHADOW  # nothing can be said of answers that nobody got; health must be there
    if silent := [item for item in results if item.answer is Answer.NO_DATA and (not shadow or item.gate == HEALTHY)]:
        if it.now >= deadline:
            return back(it, seen, f"had no data for {_told(silent[0])}", Phase.FAILED)
        return Wait(f"no data for {_told(silent[0])}; goes back at its deadline", deadline, seen)
    return _passed(it, seen)


def _passed(it: Situation, record: RolloutRecord) -> Shift:
    if record.phase is Phase.SHADOW:
        return _step(it, record, 0)
    if record.step + 1 < len(it.declared.steps):
        return _step(it, record, record.step + 1)
    kept = it.now + timedelta(seconds=seconds(it.declared.keep_warm))
    served = record.model_copy(
        update={
            "phase": Phase.SERVED, "since": stamp(it.now), "until": None, "deadline": None,
            "verified": stamp(it.now), "warm_until": stamp(kept),
        }
    )  # fmt: skip
    return Shift({record.release: ALL}, served, f"{record.release} serves everything, and is verified")


def _by_hand(it: Situation, record: RolloutRecord) -> Due | None:
    """Answer a split that is not that of the step: never more than the step; less was somebody's wish."""
    wanted = step_of(it.declared, record)
    if it.weights == wanted:
        return None
    if it.weights.get(record.release, 0) > wanted.get(record.release, 0):
        return Shift(wanted, record, f"{record.release} had more than its share: put right", mirror_of(record))
    if record.paused:
        return None
    paused = record.model_copy(update={"paused": "the split was changed by hand", "held": it.holder})
    return Shift(it.weights, paused, "the split was changed by hand: paused", mirror_of(record))


def mirror_of(record: RolloutRecord) -> Weights:
    return {record.release: ALL} if record.phase is Phase.SHADOW else {}


def _health(it: Situation, record: RolloutRecord) -> list[GateResult]:
    """Return what stands for the release's own health: not to answer is no data first, and a failure when it lasts."""
    found = it.release(record.release)
    if found is not None and found.healthy:
        return []
    said = (found.last_failure if found else "it is not deployed any more") or "it does not answer"
    since = next((item.since for item in record.gates if item.gate == HEALTHY), stamp(it.now))
    lasts = (it.now - moment(since)).total_seconds() >= SILENT_SECONDS
    return [GateResult(gate=HEALTHY, answer=Answer.FAIL if lasts else Answer.NO_DATA, message=said, since=since)]


def _told(result: GateResult) -> str:
    number = "" if result.measured is None else f": {result.measured:.6g}"
    against = "" if result.against is None else f" beside {result.against:.6g}"
    message = f" ({result.message})" if result.message else ""
    return f"{result.gate}{number}{against}{message}"

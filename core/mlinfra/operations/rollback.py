"""rollback: back to a release that was verified before. The traffic first, everything else after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.operations.alone import alone
from mlinfra.operations.pinning import Pinned, pin_anew
from mlinfra.operations.progress import Progress
from mlinfra.operations.rollout import Asked, apply, situation
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError, WrongUse
from mlinfra.releases import Hold, Pin, Release, find_release
from mlinfra.repository import Repository
from mlinfra.resolve import resolve
from mlinfra.rollout.reconcile import ALL, Shift, Situation
from mlinfra.rollout.record import Failure, Phase, RolloutRecord, stamp


@dataclass(frozen=True)
class Back:
    """One endpoint on its way back: from what it serves now, to which release, and whether that one is warm."""

    part: ResolvedPart
    serving: Mapping[str, int]
    pinned: Release
    to: Release
    warm: bool
    seconds: float | None = None
    """From the start of the command until no request is sent to anything but `to`; None before."""

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `rollback --json` prints."""
        return {
            "endpoint": self.part.part.name,
            "serving": dict(self.serving),
            "from": self.pinned.digest,
            "to": self.to.digest,
            "warm": self.warm,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class RolledBack:
    """What a rollback did: the endpoints, how the lock says so, and what could not be done."""

    environment: str
    endpoints: Sequence[Back]
    pinned: Pinned | None = None
    not_done: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `rollback --json`, version 1."""
        return {
            "version": 1,
            "environment": self.environment,
            "endpoints": [item.to_json() for item in self.endpoints],
            "lock": self.pinned.to_json() if self.pinned else None,
            "not_done": list(self.not_done),
        }


@dataclass(frozen=True)
class Wish:
    """What a person asks for: which stack and release (None: all, the one before), why, and who it is."""

    owner: str
    reason: str
    stack: str | None = None
    to: str | None = None
    dry_run: bool = False
    direct: bool = False


def rollback(repository: Repository, name: str, wish: Wish, progress: Progress) -> RolledBack:
    """Take an environment's endpoints back.

    A warm release gets everything at once; one that is not deployed is deployed beside first, while the present one
    serves. Then the rest follows (configuration, drift baseline, alarms), and the lock says so, with a hold.

    Raises:
        Problems: all problems of all files.
        WrongUse: there is nothing to go back to, or no such release.
        MlinfraError: the target does not take the shift.
    """
    started = time.monotonic()
    session = Session.open(repository, name)
    planned = [_back(session, part, wish) for part in _endpoints(session, wish.stack)]
    if wish.dry_run:
        return RolledBack(name, planned)
    done = [_shifted(session, item, wish, progress.note, started) if item.warm else item for item in planned]
    hold = Hold(reason=wish.reason, owner=wish.owner, since=stamp(datetime.now(UTC)))
    pins = {item.part.part.name: _swapped(session, item, hold) for item in planned}
    not_done: list[str] = []
    try:
        with alone(repository, name, f"mlinfra rollback {name}", progress.note):
            done = _follow(session, pins, done, wish, progress, started)
    except MlinfraError as error:
        if not all(item.warm for item in done):
            raise
        not_done.append(f"only the traffic went back: {error.message}; mlinfra up {name} does the rest")
    pinned = None
    try:
        what = f"Roll back {', '.join(sorted(pins))} in {name}: {wish.reason}"
        pinned = pin_anew(session, pins, what, direct=wish.direct)
    except MlinfraError as error:
        not_done.append(f"the lock still names the release that was taken back: {error.message}")
    return RolledBack(name, done, pinned, not_done)


def _endpoints(session: Session, stack: str | None) -> list[ResolvedPart]:
    found = [part for part in session.resolved.of_kind(Endpoint) if stack in (None, part.stack)]
    if not found:
        known = sorted({part.stack for part in session.resolved.of_kind(Endpoint)})
        raise WrongUse(
            f"{session.environment.name} has no endpoint{f' of the stack {stack!r}' if stack else ''}",
            remedy=f"there are endpoints of: {', '.join(known) or 'none'}",
        )
    return found


def _back(session: Session, part: ResolvedPart, wish: Wish) -> Back:
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    it = situation(session, part, Asked(), datetime.now(UTC))
    pin = session.declared.pin(endpoint)
    pinned = part.deployments[0].release if part.deployments else None
    if pin is None or pinned is None:
        raise WrongUse(
            f"{endpoint.name} has no release in {session.environment.name}: there is nothing to go back from"
        )
    to = _wanted(session, endpoint, it, pin, wish.to)
    if to.digest == pinned.digest:
        raise WrongUse(f"{endpoint.name}: {to.short} is what the lock names", remedy="name another one: --to RELEASE")
    found = it.release(to.short)
    return Back(part, it.weights, pinned, to, warm=found is not None and found.healthy)


def _wanted(session: Session, endpoint: Endpoint, it: Situation, pin: Pin, to: str | None) -> Release:
    known = {
        digest: release
        for digest, release in session.declared.releases.items()
        if release.endpoint in (endpoint.name, endpoint.renamed_from)
    }
    record = it.serving.rollout
    before = (
        record.previous if record is not None and record.phase in (Phase.STEP, Phase.SHADOW, Phase.SERVED) else None
    )
    name = to or pin.previous or before
    if name is None:
        raise WrongUse(
            f"{endpoint.name}: nothing was there before",
            remedy=f"--to RELEASE: mlinfra releases {session.environment.name}",
        )
    found = find_release(name, known)
    if found is None:
        listed = ", ".join(sorted(release.short for release in known.values())) or "none"
        raise WrongUse(f"{name!r} names no release of {endpoint.name}", remedy=f"there are: {listed}")
    return found


def _shifted(session: Session, item: Back, wish: Wish, say: Callable[[str], None], started: float) -> Back:
    """Give the release everything. Somebody else's shift in between is looked at again: the newest wish counts."""
    for _ in range(3):
        it = situation(session, item.part, Asked(), datetime.now(UTC))
        shift = Shift({item.to.short: ALL}, _taken_back(it, item, wish), f"{item.to.short} serves everything")
        if apply(session, it, shift):
            seconds = time.monotonic() - started
            say(f"{item.part.part.name}: {item.to.short} serves everything after {seconds:.2f} s")
            return replace(item, seconds=seconds)
    raise MlinfraError(f"{item.part.part.name}: somebody else shifts the traffic all the time", remedy="run this again")


def _taken_back(it: Situation, item: Back, wish: Wish) -> RolloutRecord:
    now, known = stamp(it.now), it.serving.rollout
    reason = f"was rolled back by {wish.owner}: {wish.reason}"
    others = [
        each for each in (known.failures if known else ()) if each.release not in (item.pinned.short, item.to.short)
    ]
    return RolloutRecord(
        release=item.pinned.short,
        previous=item.to.short,
        phase=Phase.ROLLED_BACK,
        started=known.started if known else now,
        since=now,
        held=it.holder,
        gates=known.gates if known else (),
        failures=(*others, Failure(release=item.pinned.short, at=now, reason=reason)),
    )


def _swapped(session: Session, item: Back, hold: Hold) -> Pin:
    pin = session.declared.pin(item.part.part)  # type: ignore[arg-type]
    assert pin is not None
    return pin.model_copy(
        update={"release": item.to.digest, "previous": item.pinned.digest, "warm_until": None, "hold": hold}
    )


def _follow(
    session: Session, pins: Mapping[str, Pin], done: Sequence[Back], wish: Wish, progress: Progress, started: float
) -> list[Back]:
    """Declare what was there before: what is cold is deployed beside; configuration and baselines follow."""
    from mlinfra.operations.up import apply_pinned

    declared = replace(session.declared, **_with(session, pins))
    other = Session(session.repository, declared, session.adapter, resolve(declared, session.adapter))
    apply_pinned(other, pins, progress)
    found = [item if item.warm else _shifted(other, item, wish, progress.note, started) for item in done]
    if any(not item.warm for item in done):
        apply_pinned(other, pins, progress)
    return found


def _with(session: Session, pins: Mapping[str, Pin]) -> dict[str, Any]:
    field = "newest" if session.environment.releases == "latest" else "lock"
    return {field: {**session.declared.pins, **pins}}

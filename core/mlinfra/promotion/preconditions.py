"""What must hold before a release may move on. None passes in silence: what is not known is said to be unknown."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Serving
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError, nearest
from mlinfra.releases import Hold, Release
from mlinfra.rollout.record import Phase, RolloutRecord, moment

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.artifacts import ArtifactStore
    from mlinfra.operations.plan import Plan

APPROVALS = "approvals"
UNDER_WAY = (Phase.SHADOW, Phase.STEP)


class Verdict(StrEnum):
    """Whether a precondition holds."""

    MET = "met"
    UNMET = "unmet"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Precondition:
    """One thing that must hold: of one endpoint, or (None) of the whole environment.

    `waits`: time or a reviewer can still meet it, so that a pull request may be open meanwhile. `seconds_left` is how
    long at least, where that is known.
    """

    name: str
    verdict: Verdict
    detail: str
    endpoint: str | None = None
    waits: bool = False
    seconds_left: float | None = None
    remedy: str = ""

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.verdict is Verdict.MET

    @property
    def refuses(self) -> bool:
        """Whether nothing may be promoted before somebody does something about it."""
        return not self.met and not self.waits

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `promote --json` prints."""
        return {
            "precondition": self.name,
            "endpoint": self.endpoint,
            "verdict": self.verdict.value,
            "waits": self.waits,
            "detail": self.detail,
            "seconds_left": self.seconds_left,
            "remedy": self.remedy or None,
        }


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 input, 2 inputs."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def accepts(source: str, target: Environment, accept_from: Mapping[str, Sequence[str]]) -> Precondition:
    """Ask whether `target` takes releases from `source`, and whether no environment accepts from itself by a detour.

    `accept_from` is what each environment accepts from, by its name.
    """
    name = "accepts"
    try:
        graphlib.TopologicalSorter(accept_from).prepare()
    except graphlib.CycleError as error:
        circle = " → ".join(error.args[1])
        remedy = "take one of the accept_from lines away"
        return Precondition(name, Verdict.UNMET, f"accept_from goes in a circle: {circle}", remedy=remedy)
    if source in target.accept_from:
        return Precondition(name, Verdict.MET, f"{target.name} accepts from {source}")
    near = nearest(source, set(target.accept_from) - set(accept_from))
    hint = f" (did you mean {source!r} by {near!r}?)" if near else ""
    wanted = ", ".join(target.accept_from)
    detail = f"{target.name} accepts from {wanted}, not from {source}" if wanted else f"{target.name} accepts from none"
    accepted = ", ".join((*target.accept_from, source))
    remedy = f"write accept_from: [{accepted}] in environments/{target.name}.yaml"
    return Precondition(name, Verdict.UNMET, detail + hint, remedy=remedy)


def verified(release: Release, serving: Serving | str, source: str) -> Precondition:
    """Ask whether `release` serves verified upstream; `serving` is what serves there, or why that is not known."""
    name, where = "verified", release.endpoint
    if isinstance(serving, str):
        return Precondition(name, Verdict.UNKNOWN, serving, where, remedy=f"mlinfra status {source}")
    record, remedy = serving.rollout, f"mlinfra up {source}"
    if record is None or record.release != release.short:
        last = f"{source} rolled out {record.release} last, not {release.short}" if record else ""
        detail = last or f"nothing was rolled out in {source} yet"
        return Precondition(name, Verdict.UNMET, detail, where, remedy=remedy)
    if record.phase in UNDER_WAY or (record.phase is Phase.SERVED and record.verified is None):
        detail = f"its rollout in {source} is under way" + (f": {record.paused}" if record.paused else "")
        return Precondition(name, Verdict.UNMET, detail, where, waits=True, remedy=f"mlinfra status {source}")
    if record.phase is not Phase.SERVED:
        failure = record.failure(release.short)
        reason = f": {failure.reason}" if failure else ""
        return Precondition(name, Verdict.UNMET, f"its rollout in {source} {_ended(record)}{reason}", where)
    served = [item for item in serving.releases if item.weight > 0]
    if [item.release for item in served] != [release.short] or not served[0].healthy:
        detail = f"it was verified in {source}, but does not serve there alone and healthy now"
        return Precondition(name, Verdict.UNMET, detail, where, remedy=f"mlinfra verify {source}")
    return Precondition(
        name, Verdict.MET, f"{source} verified it {(record.verified or '')[:16].replace('T', ' ')}", where
    )


def _ended(record: RolloutRecord) -> str:
    return "failed" if record.phase is Phase.FAILED else "was taken back"


def soaked(release: Release, serving: Serving | str, target: Environment, source: str, now: datetime) -> Precondition:
    """Ask whether `release` has served verified upstream as long as `target` wants."""
    name, where = "soak", release.endpoint
    if target.soak is None:
        return Precondition(name, Verdict.MET, f"{target.name} wants none", where)
    if isinstance(serving, str):
        return Precondition(name, Verdict.UNKNOWN, serving, where, remedy=f"mlinfra status {source}")
    record = serving.rollout
    whole = timedelta(seconds=seconds(target.soak))
    if record is None or record.release != release.short or record.verified is None:
        return Precondition(
            name, Verdict.UNMET, f"{target.soak} in {source} begin when it is verified there", where, waits=True,
            seconds_left=whole.total_seconds(),
        )  # fmt: skip
    # a clock that was behind must not make it shorter, and one that was ahead not longer than it is
    left = min(whole, whole - (now - moment(record.verified)))
    if left <= timedelta(0):
        return Precondition(name, Verdict.MET, f"{target.soak} in {source} are over", where)
    return Precondition(
        name, Verdict.UNMET, f"of {target.soak} in {source}", where, waits=True, seconds_left=left.total_seconds()
    )


def quiet(endpoint: str, monitor: str, found: Mapping[str, Any] | str, source: str) -> Precondition:
    """Ask whether a monitor that blocks promotions found no drift; `found` is its result, or why there is none."""
    name, remedy = "drift", f"mlinfra drift {source} {monitor}"
    if isinstance(found, str):
        return Precondition(name, Verdict.UNKNOWN, found, endpoint, remedy=remedy)
    if found["verdict"] == "ok":
        return Precondition(name, Verdict.MET, f"{monitor} in {source} is quiet", endpoint)
    if found["verdict"] == "drift":
        columns = ", ".join(str(item["column"]) for item in found["columns"] if item["verdict"] == "drift")
        return Precondition(
            name, Verdict.UNMET, f"{monitor} in {source} found drift: {columns}", endpoint, remedy=remedy
        )
    detail = f"{monitor} in {source} has too few requests to tell"
    return Precondition(name, Verdict.UNKNOWN, detail, endpoint, waits=True, remedy=remedy)


def no_monitor(endpoint: str, source: str) -> Precondition:
    """Say that no monitor of an endpoint blocks promotions."""
    return Precondition("drift", Verdict.MET, f"no monitor in {source} blocks promotions", endpoint)


def no_hold(endpoint: str, hold: Hold | None, target: str) -> Precondition:
    """Ask whether nobody holds the endpoint in the target."""
    if hold is None:
        return Precondition("hold", Verdict.MET, f"nobody holds {target}", endpoint)
    detail = f"{hold.owner} holds it since {hold.since[:16].replace('T', ' ')}: {hold.reason}"
    return Precondition("hold", Verdict.UNMET, detail, endpoint, remedy=f"mlinfra resume {target}")


def no_rollout(release: Release, serving: Serving | str, target: str, *, supersede: bool) -> Precondition:
    """Ask whether no other rollout is under way in the target, or `supersede` replaces it."""
    name, endpoint = "rollout", release.endpoint
    if isinstance(serving, str):
        return Precondition(name, Verdict.UNKNOWN, serving, endpoint, remedy=f"mlinfra status {target}")
    record = serving.rollout
    if record is None or record.phase not in UNDER_WAY:
        failure = record.failure(release.short) if record else None
        again = f"; it {failure.reason} here: mlinfra up {target} --retry" if failure else ""
        return Precondition(name, Verdict.MET, f"none is under way in {target}{again}", endpoint)
    if supersede:
        return Precondition(name, Verdict.MET, f"that of {record.release} in {target} is superseded", endpoint)
    detail = f"that of {record.release} in {target} is under way"
    remedy = f"wait for it (mlinfra status {target}), or replace it: --supersede"
    return Precondition(name, Verdict.UNMET, detail, endpoint, remedy=remedy)


def stored(release: Release, stores: Sequence[ArtifactStore]) -> Precondition:
    """Ask whether the artifact and the baseline are in one of the stores; they are read when they travel."""
    name = "artifact"
    try:
        for what, tree in (("artifact", release.identity.artifact), ("baseline", release.identity.baseline)):
            if not any(store.has(tree) for store in stores):
                urls = ", ".join(dict.fromkeys(store.url for store in stores))
                detail = f"its {what} is not in {urls}"
                remedy = "copy it from where it was stored first, or train it again"
                return Precondition(name, Verdict.UNMET, detail, release.endpoint, remedy=remedy)
    except (MlinfraError, OSError) as error:
        return Precondition(name, Verdict.UNKNOWN, f"a store cannot be read: {error}", release.endpoint)
    return Precondition(name, Verdict.MET, f"{release.identity.artifact[7:19]} is stored", release.endpoint)


def signed(release: Release, store: ArtifactStore, target: Environment, root: Path) -> Precondition:
    """Ask whether the release is signed by whom the target demands."""
    name, where = "signature", release.endpoint
    if target.signed_by is None:
        return Precondition(name, Verdict.MET, f"{target.name} demands none", where)
    from mlinfra.signing import verify_release

    try:
        reason = verify_release(release, store, root / target.signed_by)
    except MlinfraError as error:
        return Precondition(name, Verdict.UNKNOWN, error.message, where, remedy=error.remedy)
    if reason is None:
        return Precondition(name, Verdict.MET, f"{target.signed_by} verifies it", where)
    return Precondition(name, Verdict.UNMET, reason, where)


def within_budget(plan: Plan | str) -> Precondition:
    """Ask whether the target with the release stays within its budget."""
    from mlinfra.prices.budget import Standing, standing

    name = "budget"
    if isinstance(plan, str):
        return Precondition(name, Verdict.UNKNOWN, "what it would cost is not known")
    environment = plan.session.environment
    budget = environment.budget.monthly_usd if environment.budget else environment.policies.settings.budget_monthly_usd
    if budget is None or plan.review is None:
        return Precondition(name, Verdict.MET, f"{environment.name} has none")
    stands = standing(plan.review.then, budget)
    detail, remedy = f"{stands.value} ${budget:,.2f} a month", f"mlinfra cost {environment.name}"
    if stands is Standing.OVER:
        return Precondition(name, Verdict.UNMET, detail, remedy=remedy)
    if stands is Standing.UNKNOWN:
        detail = f"not everything has a price: whether it is within ${budget:,.2f} a month is not known"
        return Precondition(name, Verdict.UNKNOWN, detail, waits=True, remedy=remedy)
    return Precondition(name, Verdict.MET, detail)


def takes(plan: Plan | str, target: str) -> Precondition:
    """Ask whether the target can serve the release, and an `up` would make it so; else `plan` is why not."""
    name = "plan"
    if isinstance(plan, str):
        return Precondition(name, Verdict.UNMET, plan)
    if plan.forbidden:
        lost = ", ".join(sorted({change.part or change.resource.name for change in plan.forbidden}))
        remedy = f"mlinfra plan {target}"
        return Precondition(name, Verdict.UNMET, f"an up of {target} would DESTROY DATA: {lost}", remedy=remedy)
    return Precondition(name, Verdict.MET, f"{target} can serve it")


def keeps_rules(plan: Plan | str, target: str) -> Precondition:
    """Ask whether no mandatory rule is broken."""
    name = "policy"
    if isinstance(plan, str) or plan.review is None:
        return Precondition(name, Verdict.UNKNOWN, "which rules it breaks is not known")
    counts = plan.review.checked.counts
    detail = f"{counted(counts['mandatory'] + counts['advisory'], 'violation')}, {counts['unknown']} unknown"
    if not counts["mandatory"]:
        return Precondition(name, Verdict.MET, detail)
    remedy = f"mlinfra check {target}"
    return Precondition(name, Verdict.UNMET, f"{detail}: {counts['mandatory']} mandatory", remedy=remedy)


def approved(target: Environment, given: int | None, *, direct: bool) -> Precondition:
    """Ask whether enough people approved; `given` is None where there is no pull request yet."""
    name, wanted = APPROVALS, target.approvals
    if not wanted:
        return Precondition(name, Verdict.MET, f"{target.name} wants none")
    detail = f"{given or 0} of {wanted}"
    if direct:
        return Precondition(name, Verdict.UNMET, f"{detail}: --direct asks nobody", remedy="promote without --direct")
    if given is not None and given >= wanted:
        return Precondition(name, Verdict.MET, detail)
    return Precondition(name, Verdict.UNMET, f"{detail}, given in the pull request", waits=True)

"""up: makes what is declared true. Features and definitions first, then training, then what serves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.diff import Change, ResourceChange
from mlinfra.engine_events import Outcome
from mlinfra.operations.alone import alone
from mlinfra.operations.check import Checked, check_session
from mlinfra.operations.ingest import ingest
from mlinfra.operations.plan import Plan, plan_of
from mlinfra.operations.progress import Progress
from mlinfra.operations.rollout import Asked, Standing, keep_in_state, roll_out, settle_superseded
from mlinfra.operations.session import Session
from mlinfra.operations.status import Status, status_of
from mlinfra.operations.train import Trained, train
from mlinfra.plan_file import read_plan, refuse_if_changed
from mlinfra.problems import Problem, Refused
from mlinfra.releases import Pin
from mlinfra.repository import Repository
from mlinfra.resources import Resources
from mlinfra.state import was_cut_off

if TYPE_CHECKING:
    from mlinfra.pulumi_stack import PulumiStack

_SETTLING_SECONDS = 10.0
_ASKING_SECONDS = 0.2


@dataclass(frozen=True)
class Summary:
    """What an `up` did: the engine's outcome of each pass, the training runs, and what serves now."""

    outcomes: Sequence[Outcome]
    trained: Sequence[Trained]
    status: Status
    seconds: float
    standings: Sequence[Standing] = ()
    """How far each endpoint's rollout is."""
    problems: Sequence[Problem] = ()
    """What went wrong, and held up nothing else: rows of feature stores that could not be written."""

    @property
    def changed(self) -> int:
        """How many resources were touched."""
        return sum(outcome.changed for outcome in self.outcomes)


def up(
    repository: Repository,
    name: str,
    progress: Progress,
    *,
    again: bool = False,
    refresh: bool = False,
    plan_file: Path | None = None,
    asked: Asked | None = None,
) -> Summary:
    """Make what is declared for an environment true.

    `again` trains once more on the same inputs; `refresh` first asks the target what is really there; with a
    `plan_file` of `plan --out`, nothing is done if anything that the plan was made of has changed since. A rollout goes
    as far as it is due; `asked` is what a person asks of it beside that.

    Raises:
        Problems: all problems of all files; nothing was changed.
        Refused: a policy is violated, data would be destroyed, or the plan is not of today; nothing was changed.
        MlinfraError: another run is at work; or something failed on the way: the next `up` goes on from there.
    """
    started = time.monotonic()
    progress.phase("reading declarations")
    kept = read_plan(plan_file) if plan_file is not None else None
    session = Session.open(repository, name)
    if kept is not None and plan_file is not None:
        refuse_if_changed(kept, plan_of(session), plan_file)
    with alone(repository, name, f"mlinfra up {name}", progress.note):
        return make_true(session, progress, asked or Asked(), again=again, refresh=refresh, started=started)


def make_true(
    session: Session, progress: Progress, asked: Asked, *, again: bool = False, refresh: bool = False, started: float
) -> Summary:
    """Do what `up` does, in an open session of an environment that nobody else changes."""
    settle_superseded(session, progress.note, asked)
    session = session.kept_warm()
    stack = session.stack(progress.note)
    state = stack.export()
    for line in session.service.restore(Resources.from_state(state)):
        progress.note(line)
    if was_cut_off(state):
        progress.note("the last run was killed while it changed something")
        stack.take_over(state, partial(session.adapter.id_of, session.environment))
    if was_cut_off(state) or (refresh and state):
        progress.phase("asking what is really there")
        stack.refresh(progress.step)
    plan = plan_of(session)
    refuse_violations(check_session(session, plan.resources, plan.state))
    refuse_unsigned(session)
    _let_destroy(plan, stack, progress)
    outcomes: list[Outcome] = []
    trained: list[Trained] = []
    if session.environment.train:
        if _must_declare_first(session):
            progress.phase("declaring features and definitions")
            outcomes.append(stack.up(progress.step))
        trained = train(session, progress, again=again, asked=asked)
        if any(item.releases for item in trained):
            session = Session.open(session.repository, session.environment.name)
            settle_superseded(session, progress.note, asked)
            session = session.kept_warm()
    progress.phase("previewing and applying")
    outcomes.append(stack.up(progress.step))
    standings = roll_out(session, progress.note, asked)
    keep_in_state(session, stack, progress, standings)
    problems = ingest(session, progress)
    status = status_of(session)
    if not refresh and not all(item.serves for item in status.endpoints):
        progress.phase("not everything serves as it should: asking what is really there, and mending it")
        outcomes.append(stack.refresh(progress.step))
        outcomes.append(stack.up(progress.step))
        standings = roll_out(session, progress.note, asked)
        status = _settled(session)
    return Summary(outcomes, trained, status, time.monotonic() - started, standings, problems)


def apply_pinned(session: Session, pins: Mapping[str, Pin], progress: Progress) -> Outcome:
    """Make true what would be declared if the lock had these pins: the lock itself follows.

    Raises:
        MlinfraError: the engine failed.
    """
    stack = session.stack(progress.note)
    stack.pin(pins)
    progress.phase("previewing and applying")
    return stack.up(progress.step)


def _settled(session: Session) -> Status:
    """Return the status once everything serves, or after some seconds: a router sees a new server a little later."""
    deadline = time.monotonic() + _SETTLING_SECONDS
    while True:
        status = status_of(session)
        if all(item.serves for item in status.endpoints) or time.monotonic() > deadline:
            return status
        time.sleep(_ASKING_SECONDS)


def refuse_destruction(plan: Plan) -> None:
    """Refuse changes that would destroy data, unless the environment allows them.

    Raises:
        Refused: naming every one that it does not allow.
    """
    if not plan.forbidden:
        return
    name, first = plan.session.environment.name, plan.forbidden[0]
    raise Refused(
        "\n".join(["this would destroy data; nothing was changed", *map(_destruction, plan.forbidden)]),
        remedy="take the change back; give a renamed part renamed_from='…'; or allow it in environments/"
        f"{name}.yaml: destroy_data: [{{resource: {first.part or first.resource.urn}, reason: …}}]",
    )


def refuse_violations(checked: Checked) -> None:
    """Refuse what breaks a mandatory rule.

    Raises:
        Refused: naming every such violation, and what mends it.
    """
    broken = [finding for finding in checked.findings if finding.mandatory]
    if not broken:
        return
    lines = [
        f"{finding.rule.id} {finding.part or finding.resource.name}: "
        f"{finding.answer.path}{': ' if finding.answer.path else ''}{finding.answer.message} → {finding.remedy}"
        for finding in broken
    ]
    raise Refused(
        "\n".join([f"this breaks mandatory rules of the profile {checked.profile.name}; nothing was changed", *lines]),
        remedy=f"mlinfra check {checked.environment} shows all; an exception goes into policies.exceptions",
    )


def refuse_unsigned(session: Session) -> None:
    """Refuse releases that are not there yet, and that the environment's key does not verify.

    Raises:
        Refused: naming every one, and why.
        MlinfraError: the key cannot be used.
    """
    key = session.environment.signed_by
    if key is None:
        return
    from mlinfra.signing import verify_release

    store = session.repository.artifacts(session.environment)
    refused = []
    for part in session.resolved.of_kind(Endpoint):
        serving = session.service.observe(part.part.renamed_from or part.part.name)
        there = {item.release for item in serving.releases}
        for release in (item.release for item in part.deployments if item.release.short not in there):
            if why := verify_release(release, store, session.repository.root / key):
                refused.append(f"{part.part.name}: {release.short}: {why}")
    if refused:
        raise Refused(
            "\n".join([f"{key} does not verify these releases; nothing was changed", *refused]),
            remedy="mlinfra sign RELEASE --key FILE, by whoever holds the key, then promote it again",
        )


def _let_destroy(plan: Plan, stack: PulumiStack, progress: Progress) -> None:
    refuse_destruction(plan)
    lost = [change for change in plan.changes if change.destroys_data]
    for change in lost:
        progress.note(f"{_destruction(change)}; allowed: {plan.permission(change)}")
    stack.let_destroy([change.resource.urn for change in lost])


def _destruction(change: ResourceChange) -> str:
    kind = change.resource.type.rsplit(":", 1)[-1]
    paths = ", ".join(item.path for item in change.properties)
    what = f"{change.part or change.resource.name}: {change.change.value} {kind} {change.resource.name} DESTROYS DATA"
    return what + (f" ({change.loses or f'{paths} changed'})" if paths else "")


def _must_declare_first(session: Session) -> bool:
    """Whether training needs something that is not there yet."""
    needed = {item.key for job in session.resolved.of_kind(TrainingJob) for item in (job.part, *job.part.references())}
    return any(change.part in needed and change.change is not Change.SAME for change in plan_of(session).changes)

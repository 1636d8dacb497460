"""up: makes what is declared true. Features and definitions first, then training, then what serves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.diff import Change
from mlinfra.engine_events import Outcome
from mlinfra.operations.alone import alone
from mlinfra.operations.plan import plan_of
from mlinfra.operations.progress import Progress
from mlinfra.operations.session import Session
from mlinfra.operations.status import Status, status_of
from mlinfra.operations.train import Trained, train
from mlinfra.problems import Refused
from mlinfra.repository import Repository
from mlinfra.resources import Resources
from mlinfra.state import was_cut_off

_SETTLING_SECONDS = 10.0
_ASKING_SECONDS = 0.2


@dataclass(frozen=True)
class Summary:
    """What an `up` did: the engine's outcome of each pass, the training runs, and what serves now."""

    outcomes: Sequence[Outcome]
    trained: Sequence[Trained]
    status: Status
    seconds: float

    @property
    def changed(self) -> int:
        """How many resources were touched."""
        return sum(outcome.changed for outcome in self.outcomes)


def up(repository: Repository, name: str, progress: Progress, *, again: bool = False, refresh: bool = False) -> Summary:
    """Make what is declared for an environment true.

    `again` trains once more on the same inputs; `refresh` first asks the target what is really there.

    Raises:
        Problems: all problems of all files; nothing was changed.
        Refused: a policy is violated, or data would be destroyed; nothing was changed.
        MlinfraError: another run is at work; or something failed on the way: the next `up` goes on from there.
    """
    started = time.monotonic()
    progress.phase("reading declarations")
    session = Session.open(repository, name)
    with alone(repository, name, f"mlinfra up {name}"):
        return _up(session, progress, started, again=again, refresh=refresh)


def _up(session: Session, progress: Progress, started: float, *, again: bool, refresh: bool) -> Summary:
    stack = session.stack(progress.note)
    state = stack.export()
    for line in session.service.restore(Resources.from_state(state)):
        progress.note(line)
    if was_cut_off(state):
        progress.note("the last run was killed while it changed something")
    if was_cut_off(state) or (refresh and state):
        progress.phase("asking what is really there")
        stack.refresh(progress.step)
    refuse_destruction(session)
    outcomes: list[Outcome] = []
    trained: list[Trained] = []
    if session.environment.train:
        if _must_declare_first(session):
            progress.phase("declaring features and definitions")
            outcomes.append(stack.up(progress.step))
        trained = train(session, progress, again=again)
        if any(item.releases for item in trained):
            session = Session.open(session.repository, session.environment.name)
    served = _served(status_of(session))
    progress.phase("previewing and applying")
    outcomes.append(stack.up(progress.step))
    status = status_of(session)
    if not refresh and not all(item.serves for item in status.endpoints):
        progress.phase("not everything serves as it should: asking what is really there, and mending it")
        outcomes.append(stack.refresh(progress.step))
        outcomes.append(stack.up(progress.step))
        status = _settled(session)
    _say_what_was_skipped(status, served, progress)
    return Summary(outcomes, trained, status, time.monotonic() - started)


def _settled(session: Session) -> Status:
    """Return the status once everything serves, or after some seconds: a router sees a new server a little later."""
    deadline = time.monotonic() + _SETTLING_SECONDS
    while True:
        status = status_of(session)
        if all(item.serves for item in status.endpoints) or time.monotonic() > deadline:
            return status
        time.sleep(_ASKING_SECONDS)


def refuse_destruction(session: Session) -> None:
    """Refuse a change that would destroy data.

    Raises:
        Refused: naming every such resource.
    """
    lost = [change for change in plan_of(session).changes if change.destroys_data]
    if lost:
        lines = [
            f"{change.part or change.resource.name}: {change.change.value} {change.resource.type.rsplit(':', 1)[-1]} "
            f"{change.resource.name} DESTROYS DATA"
            + (f" ({', '.join(item.path for item in change.properties)} changed)" if change.properties else "")
            for change in lost
        ]
        raise Refused(
            "\n".join(["this would destroy data; nothing was changed", *lines]),
            remedy="take the change back; give a renamed part renamed_from='…'; "
            f"or remove everything with mlinfra down {session.environment.name} --destroy-data",
        )


def _must_declare_first(session: Session) -> bool:
    """Whether training needs something that is not there yet."""
    needed = {item.key for job in session.resolved.of_kind(TrainingJob) for item in (job.part, *job.part.references())}
    return any(change.part in needed and change.change is not Change.SAME for change in plan_of(session).changes)


def _served(status: Status) -> Mapping[str, frozenset[str]]:
    """Return the releases that get requests, by endpoint."""
    return {
        item.serving.endpoint: frozenset(release.release for release in item.serving.releases if release.weight)
        for item in status.endpoints
    }


def _say_what_was_skipped(status: Status, before: Mapping[str, frozenset[str]], progress: Progress) -> None:
    for item in status.endpoints:
        endpoint, known = item.part.part, before[item.serving.endpoint]
        assert isinstance(endpoint, Endpoint)
        by_steps = endpoint.rollout.steps != (100,) or endpoint.rollout.gates
        if known and known != _served(status)[item.serving.endpoint] and by_steps:
            progress.note(
                f"{endpoint.name}: the new release took the traffic at once; "
                "steps and gates of a rollout are declared, but not carried out by this version"
            )

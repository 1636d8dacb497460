"""down: removes what runs; keeps what holds data, unless told to destroy that too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.engine_events import Outcome
from mlinfra.operations.alone import alone
from mlinfra.operations.progress import Progress
from mlinfra.operations.session import Session
from mlinfra.repository import Repository
from mlinfra.resources import Resources

if TYPE_CHECKING:
    from mlinfra.pulumi_stack import PulumiStack


@dataclass(frozen=True)
class Removed:
    """What was removed, and what was kept: a line each, with where it is."""

    outcome: Outcome
    kept: Sequence[str]


def down(repository: Repository, name: str, progress: Progress, *, destroy_data: bool = False) -> Removed:
    """Remove an environment's resources and end everything that runs for it.

    Raises:
        MlinfraError: another run is at work; or something could not be removed; the next `down` goes on from there.
    """
    session = Session.open(repository, name)
    with alone(repository, name, f"mlinfra down {name}", progress.note):
        return _down(session, progress, destroy_data=destroy_data)


def _down(session: Session, progress: Progress, *, destroy_data: bool) -> Removed:
    stack = session.stack(progress.note)
    stack.goes_on = "down --destroy-data" if destroy_data else "down"
    outcome = Outcome()
    if stack.exists():
        progress.phase("removing resources")
        if destroy_data:
            # a run that was ended in the middle took the protection off already
            session.service.empty(_unprotected(stack))
        outcome = stack.destroy(progress.step, keep_protected=True)
        if destroy_data:
            # whatever wrote data is gone: what is emptied now stays empty until it is removed
            progress.phase("destroying data")
            session.service.empty(Resources.from_state(stack.export()))
            stack.unprotect()
            outcome = outcome.and_then(stack.destroy(progress.step, keep_protected=False))
    progress.phase("ending processes")
    kept = session.service.down(destroy_data=destroy_data) or _kept(stack)
    if destroy_data:
        environment = session.environment
        session.repository.artifacts(environment).forget_newest(environment.name)
        stack.forget()
    return Removed(outcome, kept)


def _unprotected(stack: PulumiStack) -> Resources:
    return Resources([item for item in Resources.from_state(stack.export()).all if not item.protect])


def _kept(stack: PulumiStack) -> Sequence[str]:
    """Return what the state still records: the part, and the kind and the name there of what holds its data."""
    left = Resources.from_state(stack.export())
    return [
        f"{left.part_of(item) or 'around'}: {item.type.rpartition(':')[2]} {item.id}"
        for item in left.declared()
        if item.id
    ]

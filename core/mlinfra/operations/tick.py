"""tick: goes on with what is under way. Called on a schedule, so that nobody needs to stay for a rollout."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.operations.alone import Busy, alone
from mlinfra.operations.ingest import ingest
from mlinfra.operations.progress import Progress
from mlinfra.operations.rollout import Asked, Standing, keep_in_state, roll_out
from mlinfra.operations.session import Session
from mlinfra.operations.up import make_true
from mlinfra.problems import Problem
from mlinfra.repository import Repository
from mlinfra.state import checkpoint_of


@dataclass(frozen=True)
class Ticked:
    """How far the rollouts of one environment are; `idle` says why nothing was looked at."""

    environment: str
    standings: Sequence[Standing]
    idle: str = ""
    busy: bool = False
    """Whether another run is at work there, and does what is due."""
    problems: Sequence[Problem] = ()
    """What went wrong, and held up no rollout: rows of feature stores that could not be written."""

    @property
    def waits(self) -> bool:
        """Whether something waits."""
        return self.busy or any(standing.waits for standing in self.standings)

    @property
    def stopped(self) -> bool:
        """Whether something failed, or a person must decide."""
        return bool(self.problems) or any(standing.stopped for standing in self.standings)

    def to_json(self) -> dict[str, Any]:
        """Return an environment in the documented shape of `tick --json`."""
        return {
            "environment": self.environment,
            "idle": self.idle or None,
            "endpoints": [standing.to_json() for standing in self.standings],
            "problems": [problem.to_json() for problem in self.problems],
        }


def tick(repository: Repository, names: Sequence[str], progress: Progress, asked: Asked | None = None) -> list[Ticked]:
    """Do what is due in the environments named, or in all of them.

    Raises:
        Problems: all problems of all files of an environment; those before it were looked at.
        MlinfraError: the target does not take a shift.
    """
    for name in names:
        repository.check_name(name)
    return [_tick(repository, name, progress, asked or Asked()) for name in names or repository.environments()]


def _tick(repository: Repository, name: str, progress: Progress, asked: Asked) -> Ticked:
    session = Session.open(repository, name)
    checkpoint = checkpoint_of(repository, session.environment)
    if checkpoint is not None and not checkpoint.exists():
        return Ticked(name, (), "was never up")
    try:
        return _alone(repository, session.kept_warm(), progress, asked)
    except Busy as busy:
        # a shift needs no lock: what fails goes back, however long the other run takes
        return Ticked(name, roll_out(session, progress.note, asked, only_back=True), busy.message, busy=True)


def _alone(repository: Repository, session: Session, progress: Progress, asked: Asked) -> Ticked:
    name = session.environment.name
    with alone(repository, name, f"mlinfra tick {name}"):
        if _deployed_otherwise(session):
            summary = make_true(session, progress, asked, started=time.monotonic())
            return Ticked(name, summary.standings, problems=summary.problems)
        standings = roll_out(session, progress.note, asked)
        if any(standing.shifts for standing in standings):
            progress.phase("recording it in the state")
            keep_in_state(session, session.stack(progress.note), progress, standings)
        problems = ingest(session, progress)
    return Ticked(name, standings, problems=problems)


def _deployed_otherwise(session: Session) -> bool:
    """Whether a release must be deployed beside, or one retired: the engine's work."""
    for part in session.resolved.of_kind(Endpoint):
        serving = session.service.observe(part.part.renamed_from or part.part.name)
        if {item.release for item in serving.releases} != {item.release.short for item in part.deployments}:
            return True
    return False

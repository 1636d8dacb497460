"""train: runs what is declared, outside the engine, once for the same inputs; what is accepted becomes a release."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mlinfra.adapters import ResolvedPart, Run
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.operations.progress import Progress
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError
from mlinfra.releases import Identity, Provenance, Release, Runtime


@dataclass(frozen=True)
class Trained:
    """One job's run, and the releases that it made: none when it was not accepted, or when they were there."""

    part: ResolvedPart
    run: Run
    releases: Sequence[Release]


def train(session: Session, progress: Progress, *, job: str | None = None, again: bool = False) -> list[Trained]:
    """Train the environment's jobs (or the one named), or adopt the runs that have the same inputs.

    Raises:
        MlinfraError: training does not happen in this environment, or a run failed; what others did is kept.
    """
    if not session.environment.train:
        raise MlinfraError(
            f"training does not happen in {session.environment.name}",
            remedy=f"train where it does, then promote; or set train: true in environments/{session.environment.name}"
            ".yaml",
        )
    jobs = [session.one(TrainingJob, job)] if job else list(session.resolved.of_kind(TrainingJob))
    trained: list[Trained] = []
    for part in jobs:
        progress.phase(f"training {part.part.name}")
        run = session.service.train(part, again=again, say=progress.note)
        if run.outcome not in ("accepted", "rejected"):
            raise MlinfraError(
                f"training {part.part.name} ended: {run.outcome}\n{run.log}".strip(),
                remedy=f"mlinfra logs {session.environment.name} {part.key} shows all of its log; mend the script, or "
                f"try the same again: mlinfra train {session.environment.name} --retrain",
            )
        releases = _release(session, part, run) if run.outcome == "accepted" else []
        trained.append(Trained(part, run, releases))
    return trained


def _release(session: Session, part: ResolvedPart, run: Run) -> list[Release]:
    """Keep a release for each endpoint of the job, unless the newest one is just that."""
    store = session.repository.artifacts(session.environment)
    made: list[Release] = []
    for declared in session.declared.stacks:
        for endpoint in declared.stack.of_kind(Endpoint):
            if endpoint.model.trained_by.key != part.key:
                continue
            release = _make(session, declared.stack.name, endpoint, run)
            if session.declared.newest.get(endpoint.name) != release.digest:
                store.put_release(declared.stack.name, release.digest, release.to_json())
                store.put_newest(session.environment.name, declared.stack.name, endpoint.name, release.digest)
                made.append(release)
    return made


def _make(session: Session, stack: str, endpoint: Endpoint, run: Run) -> Release:
    result = run.result
    return Release(
        stack=stack,
        endpoint=endpoint.name,
        identity=Identity(
            artifact=result["artifact"],
            runtime=Runtime.model_validate(result["runtime"]),
            spec=endpoint.spec(),
            signature=result["signature"],
            baseline=result["baseline"],
        ),
        provenance=Provenance(
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
            author=getpass.getuser(),
            run=run.id,
            metrics=run.metrics,
            data=result.get("data", {}),
            code=result.get("code", ""),
            commit=_commit(session),
        ),
    )


def _commit(session: Session) -> str | None:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=session.repository.root, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None

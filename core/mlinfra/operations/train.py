"""train: runs what is declared, outside the engine, once for the same inputs; what is accepted becomes a release."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mlinfra.adapters import ResolvedPart, Run, Serving
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.digests import short
from mlinfra.operations.progress import Progress
from mlinfra.operations.rollout import Asked
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError
from mlinfra.releases import Identity, Provenance, Release, Runtime
from mlinfra.rollout.record import shown


@dataclass(frozen=True)
class Trained:
    """One job's run, and the releases that it made: none when it was not accepted, or when they were there."""

    part: ResolvedPart
    run: Run
    releases: Sequence[Release]


def train(
    session: Session, progress: Progress, *, job: str | None = None, again: bool = False, asked: Asked | None = None
) -> list[Trained]:
    """Train the environment's jobs (or the one named), or adopt the runs that have the same inputs.

    A release of theirs is followed, unless it failed its rollout or another one is rolled out; `asked` overrides that.

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
        releases = _release(session, part, run, progress, asked or Asked()) if run.outcome == "accepted" else []
        trained.append(Trained(part, run, releases))
    return trained


def _release(session: Session, part: ResolvedPart, run: Run, progress: Progress, asked: Asked) -> list[Release]:
    """Keep a release for each endpoint of the job, unless the newest one is just that."""
    store = session.repository.artifacts(session.environment)
    made: list[Release] = []
    for declared in session.declared.stacks:
        for endpoint in declared.stack.of_kind(Endpoint):
            if endpoint.model.trained_by.key != part.key:
                continue
            release = _make(session, declared.stack.name, endpoint, run)
            known = session.declared.newest.get(endpoint.name)
            if known is not None and known.release == release.digest:
                continue
            store.put_release(declared.stack.name, release.digest, release.to_json())
            serving = session.service.observe(endpoint.renamed_from or endpoint.name)
            if why := _not_followed(release, serving, asked):
                progress.note(f"{endpoint.name}: {release.short} {why}")
                continue
            held = known.hold.model_dump() if known and known.hold else None
            place = (session.environment.name, declared.stack.name, endpoint.name)
            before = _before(session, serving) if _gradual(session, endpoint) else None
            store.put_newest(*place, release.digest, previous=before if before != release.digest else None, hold=held)
            made.append(release)
    return made


def _not_followed(release: Release, serving: Serving, asked: Asked) -> str | None:
    """Return why a release is not followed, or None."""
    record = serving.rollout
    failure = record.failure(release.short) if record else None
    if failure is not None and not asked.retry:
        return f"{failure.reason} ({shown(failure.at)}), and is not tried again; up --retry does"
    if record is not None and record.is_under_way and record.release != release.short and not asked.supersede:
        return f"waits: {record.release} is being rolled out; up --supersede replaces it"
    return None


def _gradual(session: Session, declared: Endpoint) -> bool:
    """Whether the endpoint, with the environment's overrides, takes a new release beside the one that serves."""
    endpoint = session.one(Endpoint, declared.name).part
    assert isinstance(endpoint, Endpoint)
    return endpoint.rollout.gradual


def _before(session: Session, serving: Serving) -> str | None:
    """Return the release that serves now, which a new one is rolled out beside."""
    share = {item.release: item.weight for item in serving.releases if item.weight}
    most = max(share, key=lambda name: share[name], default=None)
    return next((digest for digest in session.declared.releases if short(digest) == most), None)


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

"""ingest: brings the rows of feature stores to the target, outside the engine, when they are due."""

from __future__ import annotations

from collections.abc import Sequence

from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.operations.progress import Progress
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError, Problem


def ingest(session: Session, progress: Progress) -> Sequence[Problem]:
    """Write the rows of each feature store whose source gives others than those that are there.

    Return what went wrong: it holds up neither the other stores nor what serves, and is for whoever called to tell."""
    problems: list[Problem] = []
    for part in session.resolved.of_kind(FeatureStore):
        try:
            done = session.service.ingest(part, say=progress.note)
        except MlinfraError as error:
            way_out = f"mend it; the next mlinfra up or tick of {session.environment.name} goes on"
            problems.append(Problem("", 0, part.key, error.message, remedy=error.remedy or way_out))
            continue
        if done.written:
            progress.note(f"{part.part.name}: {done.rows:,} rows are in the feature store")
    return problems

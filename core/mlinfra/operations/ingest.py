"""ingest: brings the rows of feature stores to the target, outside the engine, when they are due."""

from __future__ import annotations

from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.operations.progress import Progress
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError


def ingest(session: Session, progress: Progress) -> None:
    """Write the rows of each feature store whose source gives others than those that are there.

    Raises:
        MlinfraError: some could not be written; all of them are named, and the others were.
    """
    failed: list[tuple[str, MlinfraError]] = []
    for part in session.resolved.of_kind(FeatureStore):
        try:
            done = session.service.ingest(part, say=progress.note)
        except MlinfraError as error:
            failed.append((part.key, error))
            continue
        if done.written:
            progress.note(f"{part.part.name}: {done.rows:,} rows are in the feature store")
    if failed:
        name = session.environment.name
        raise MlinfraError(
            "\n".join(f"{key}: {error}" for key, error in failed),
            remedy=failed[0][1].remedy or f"mend it, then mlinfra up {name}: what is there stays as it is until then",
        )

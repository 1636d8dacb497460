"""Rows of a feature store on Azure ML: one file beside the models, which Spark brings to the store by a backfill.

    <artifacts>/environments/<environment>/rows/<feature set>/rows.parquet          the rows, overwritten as a whole
    <artifacts>/environments/<environment>/materialised/<feature set>.json          the backfill that brings them

Azure's own schedule brings only what happened since it ran last, so that every change of the rows needs a backfill: of
the window of their event times, done again where it was done before. Where a job is at work in the window, Azure starts
none (https://learn.microsoft.com/azure/machine-learning/feature-set-materialization-concepts), and that job may have
read the rows from before: the backfill stays due, and is asked for when the job has ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.digests import canonical_json
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.azureml import feature_sets
from mlinfra_providers.azureml.clients import Azure, read_blob, write_blob
from mlinfra_providers.azureml.naming import feature_store_name
from mlinfra_providers.azureml.places import Place, abfs, records
from mlinfra_providers.remote.ingest import Rows

Say = Callable[[str], None]
ROWS = "rows.parquet"
AGAIN = ("None", "Incomplete", "Complete")
"""Which intervals of a window are done: those never done, those that failed, and those done from older rows."""
_ENDED = {"Completed": "", "Failed": "failed", "Canceled": "was canceled"}
"""Statuses of jobs that have ended, and what is wrong with them (REST models: JobStatus)."""


@dataclass(frozen=True)
class _Backfill:
    """What is known of the newest backfill of a feature set: `start` and `end` (ISO 8601, UTC; the end is not in it)
    are its window, `there` the version that it is of, `jobs` the names of its Spark jobs, `due` whether it is still to
    be asked for."""

    there: str
    start: str
    end: str
    jobs: tuple[str, ...] = ()
    due: bool = True


class FeatureRows:
    """Implements `mlinfra_providers.remote.ingest.Writer`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._workspace = feature_store_name(environment)
        self._azure = Azure(environment.account or "", environment.resource_group or "", self._workspace)

    def identity(self, part: ResolvedPart) -> str | None:
        """Return the id of the feature set's version, and when it was made; None where it is not there."""
        there = self._azure.get(feature_sets.path(self._environment, _store(part)))
        if there is None:
            return None
        return f"{there['id']} {(there.get('systemData') or {}).get('createdAt', '')}"

    def write(self, part: ResolvedPart, rows: Rows, say: Say) -> None:
        """Put the rows where the feature set reads them, and ask for a backfill; Spark goes on without this.

        Raises:
            MlinfraError: the rows cannot be written, or Azure ML refuses the backfill.
        """
        store = _store(part)
        there, known = self.identity(part) or "", self._known(store)
        start, end = _window(rows.path, store.event_time)
        jobs: tuple[str, ...] = ()
        if known is not None and known.there == there:
            # what was brought from rows that are gone is done again, too
            start, end, jobs = min(start, known.start), max(end, known.end), known.jobs
        self._put(feature_sets.rows(self._environment, store).below(ROWS), rows.path)
        self._ask(store, self._remember(store, _Backfill(there, start, end, jobs)), say)

    def go_on(self, part: ResolvedPart, say: Say) -> None:
        """Ask for a backfill that is still due, and see how one ended that was asked for.

        Raises:
            MlinfraError: its job failed, which is told once, or Azure ML refuses another.
        """
        store = _store(part)
        known = self._known(store)
        if known is None:
            return
        if known.due:
            self._ask(store, known, say)
            return
        ended = {job: self._ended(job) for job in known.jobs}
        for job, wrong in ended.items():
            if wrong:
                self._remember(store, replace(known, jobs=(), due=True))
                raise MlinfraError(
                    f"the job {job}, which brings the rows to the feature store, {wrong}",
                    remedy=f"its lines in the workspace {self._workspace} say why; mlinfra up starts another",
                )
        if known.jobs and None not in ended.values():
            self._remember(store, replace(known, jobs=()))

    def _ask(self, store: FeatureStore, backfill: _Backfill, say: Say) -> None:
        """Ask for a backfill, unless one is at work in its window."""
        called = feature_sets.called(self._environment, store)
        running = [job for job in backfill.jobs if self._ended(job) is None]
        jobs: list[str] = []
        if not running:
            request = {
                "displayName": f"mlinfra: rows of {called}",
                "dataAvailabilityStatus": list(AGAIN),
                "featureWindow": {"featureWindowStart": backfill.start, "featureWindowEnd": backfill.end},
                **feature_sets.SPARK,
            }
            told = self._azure.act(f"{feature_sets.path(self._environment, store)}/backfill", request)
            jobs = list(told.get("jobIds") or ())
        if not jobs:
            at_work = ", ".join(running) or "another job"
            say(f"{store.name}: {at_work} is at work in the feature store; the new rows follow when it has ended")
            return
        self._remember(store, replace(backfill, jobs=tuple(jobs), due=False))
        say(f"{store.name}: Spark brings the rows to the feature store: {', '.join(jobs)}")

    def _ended(self, job: str) -> str | None:
        """Return what is wrong with a job that has ended, "" for nothing; None while it goes on."""
        found = self._azure.get(f"jobs/{job}")
        # a job that nobody knows any more keeps nobody waiting
        return _ENDED.get(found["properties"].get("status", "")) if found is not None else ""

    def _put(self, there: Place, path: Path) -> None:
        """Write a file as one block blob: it is there when all of it is."""
        import fsspec  # type: ignore[import-untyped]
        from azure.core.exceptions import AzureError

        try:
            files, target = fsspec.core.url_to_fs(abfs(there))
            files.put_file(str(path), target, overwrite=True)
        except (OSError, AzureError) as error:
            raise MlinfraError(f"the rows cannot be written to {abfs(there)}: {error}", remedy="try again") from error

    def _record(self, store: FeatureStore) -> Place:
        return records(self._environment, "materialised", f"{feature_sets.called(self._environment, store)}.json")

    def _known(self, store: FeatureStore) -> _Backfill | None:
        found = read_blob(self._record(store))
        if found is None:
            return None
        content: dict[str, Any] = json.loads(found[0])
        return _Backfill(**{**content, "jobs": tuple(content["jobs"])})

    def _remember(self, store: FeatureStore, backfill: _Backfill) -> _Backfill:
        write_blob(self._record(store), canonical_json(asdict(backfill)), anyhow=True)
        return backfill


def _store(part: ResolvedPart) -> FeatureStore:
    store = part.part
    assert isinstance(store, FeatureStore)
    return store


def _window(path: Path, event_time: str) -> tuple[str, str]:
    """Return from when to when the rows of a file are; the end is a second after the newest."""
    import pyarrow.compute as compute  # type: ignore[import-untyped]
    import pyarrow.parquet as parquet  # type: ignore[import-untyped]

    found = compute.min_max(parquet.read_table(path, columns=[event_time])[event_time]).as_py()
    return _text(found["min"]), _text(found["max"] + timedelta(seconds=1))


def _text(moment: datetime) -> str:
    """Return a moment as the API takes it; texts of the same length are ordered as their moments are."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

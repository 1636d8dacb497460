"""Training on this machine: from a resolved job to a run, its inputs joined by the feature store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlinfra.adapters import ResolvedPart, Run
from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.training_job import Dataset, TrainingJob
from mlinfra.digests import digest_json
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.files import read_kept, write_json
from mlinfra.problems import MlinfraError
from mlinfra_providers.local import feature_store, runs
from mlinfra_providers.local.features import Features
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.local.resources.feature_view import FeatureView
from mlinfra_providers.local.run_record import Input, Request, RunRecord
from mlinfra_providers.local.sources import Snapshot, newest, source_digest
from mlinfra_providers.local.tracking import Tracker

Say = Callable[[str], None]

SPOT_NICENESS = 19
"""On one machine, `spot` means to give way to everything else."""


def train(layout: Layout, environment: Environment, part: ResolvedPart, *, again: bool, say: Say) -> Run:
    """Read the job's inputs, then run it, or adopt the finished run with the same inputs.

    Raises:
        MlinfraError: a source fails, or what the run makes cannot be kept.
    """
    job = part.part
    assert isinstance(job, TrainingJob)
    folder = layout.repository / "stacks" / part.folder
    request = Request(
        job=physical_name(job),
        folder=folder,
        script=job.code,
        inputs=_inputs(layout, part, environment, say),
        params=dict(job.params),
        accept=[check.spec() for check in job.accept],
        cpus=job.compute.cpus,
        memory_gib=job.compute.memory_gib,
        max_runtime_seconds=seconds(job.max_runtime),
        niceness=SPOT_NICENESS if job.spot else 0,
    )
    store = ArtifactStore(environment.artifacts or layout.artifacts_url)
    with Tracker(layout) as tracker:
        return _run(runs.train(request, layout, store, tracker, again=again, say=say))


def logs(layout: Layout, name: str) -> list[Path]:
    """Return the log files of a job's runs, oldest first."""
    return runs.logs(layout, name)


def _inputs(layout: Layout, part: ResolvedPart, environment: Environment, say: Say) -> dict[str, Input]:
    """Return the files that the job reads. Feast takes seconds to start: it is asked only when something is new."""
    job = part.part
    assert isinstance(job, TrainingJob)
    folder = layout.repository / "stacks" / part.folder
    _refresh_stores(layout, part, environment)
    kept_in = layout.folder / "jobs" / f"{physical_name(job)}.inputs.json"
    key = _inputs_key(layout, job, folder)
    kept = read_kept(kept_in)
    if kept and kept["key"] == key and all(Path(item["path"]).is_file() for item in kept["inputs"].values()):
        return {name: Input(Path(item["path"]), item["digest"]) for name, item in kept["inputs"].items()}
    found: dict[str, Input] = {}
    for name, value in job.inputs.items():
        rows = _dataset(layout, job, name, value, folder, say) if isinstance(value, Dataset) else _rows(layout, value)
        found[name] = Input(rows.path, rows.digest)
    inputs = {name: {"path": str(item.path), "digest": item.digest} for name, item in found.items()}
    write_json(kept_in, {"key": _inputs_key(layout, job, folder), "inputs": inputs}, durable=True)
    return found


def _inputs_key(layout: Layout, job: TrainingJob, folder: Path) -> str:
    """Return a digest of what the inputs are made of: their sources and newest readings. Needs no Feast."""
    readings: dict[str, Any] = {}
    for name, value in job.inputs.items():
        own = newest(layout, _dataset_name(job, name)) if isinstance(value, Dataset) else None
        stores = value.features if isinstance(value, Dataset) else (value,)
        known = {store.name: newest(layout, physical_name(store)) for store in stores}
        readings[name] = {
            "spec": value.spec(),
            "own": own.digest if own else None,
            "old": own is not None and isinstance(value, Dataset) and _is_old(own, value.refresh),
            "stores": {store: reading.digest if reading else None for store, reading in known.items()},
            "ttl": {store.name: store.ttl for store in stores},
            "features": {store.name: [feature.spec() for feature in store.features] for store in stores},
        }
    return digest_json({"source": source_digest(folder), "inputs": readings})


def _is_old(reading: Snapshot, refresh: str | None) -> bool:
    if refresh is None:
        return False
    age = datetime.now(UTC) - datetime.fromisoformat(reading.read_at)
    return age.total_seconds() >= seconds(refresh)


def _refresh_stores(layout: Layout, part: ResolvedPart, environment: Environment) -> None:
    """Read the stores again whose rows are older than they declare."""
    for store in part.part.references():
        assert isinstance(store, FeatureStore)
        reading = newest(layout, physical_name(store))
        if reading is not None and _is_old(reading, store.refresh):
            inputs = {"environment": environment.name, **feature_store.definition(part, store)}
            FeatureView(layout.repository).create(inputs)


def _dataset(layout: Layout, job: TrainingJob, name: str, value: Dataset, folder: Path, say: Say) -> Snapshot:
    with Features(layout) as features:
        return features.dataset(
            _dataset_name(job, name),
            value.source,
            folder,
            [physical_name(store) for store in value.features],
            digest=source_digest(folder),
            refresh_seconds=seconds(value.refresh) if value.refresh else None,
            progress=say,
        )


def _rows(layout: Layout, store: FeatureStore) -> Snapshot:
    rows = newest(layout, physical_name(store))
    if rows is None:
        raise MlinfraError(
            f"the feature store {store.name!r} was not read yet", remedy=f"mlinfra up {layout.environment}"
        )
    return rows


def _dataset_name(job: TrainingJob, name: str) -> str:
    return f"{physical_name(job)}/{name}"


def _run(record: RunRecord) -> Run:
    result = {
        "artifact": record.model_digest,
        "runtime": {"name": record.runtime, "version": record.runtime_version},
        "signature": record.signature,
        "baseline": record.baseline_digest,
        "data": dict(record.inputs),
        "code": record.code,
    }
    return Run(
        id=record.id,
        outcome=record.verdict,
        metrics=dict(record.metrics),
        checks=list(record.checks),
        seconds=record.seconds,
        adopted=record.adopted,
        inputs=record.digest,
        result=result,
        log="\n".join(record.log_tail),
    )

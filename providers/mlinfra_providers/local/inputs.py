"""What a training job reads: the files of its inputs, read on the machine where the command runs, on every target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.training_job import Dataset, TrainingJob
from mlinfra.digests import digest_json
from mlinfra.durations import seconds
from mlinfra.files import read_kept, write_json
from mlinfra.problems import MlinfraError
from mlinfra_providers.local.features import Features
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.local.sources import Snapshot, is_old, newest, source_digest
from mlinfra_providers.run_record import Input

Say = Callable[[str], None]
Prepare = Callable[[Features, FeatureStore], None]
"""Declares a feature store to Feast before a dataset is joined with it."""


def read_inputs(layout: Layout, part: ResolvedPart, say: Say, prepare: Prepare | None = None) -> dict[str, Input]:
    """Return the files that the job reads. Feast takes seconds to start: it is asked only when something is new.

    Raises:
        MlinfraError: a source fails, or a feature store that is an input was not read yet.
    """
    job = part.part
    assert isinstance(job, TrainingJob)
    folder = layout.repository / "stacks" / part.folder
    kept_in = layout.folder / "jobs" / f"{physical_name(job)}.inputs.json"
    key = _inputs_key(layout, job, folder)
    kept = read_kept(kept_in)
    if kept and kept["key"] == key and all(Path(item["path"]).is_file() for item in kept["inputs"].values()):
        return {name: Input(Path(item["path"]), item["digest"]) for name, item in kept["inputs"].items()}
    found: dict[str, Input] = {}
    for name, value in job.inputs.items():
        if isinstance(value, Dataset):
            rows = _dataset(layout, job, name, value, folder, say, prepare)
        else:
            rows = _rows(layout, value)
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
            "old": own is not None and isinstance(value, Dataset) and is_old(own.read_at, _refresh(value)),
            "stores": {store: reading.digest if reading else None for store, reading in known.items()},
            "ttl": {store.name: store.ttl for store in stores},
            "features": {store.name: [feature.spec() for feature in store.features] for store in stores},
        }
    return digest_json({"source": source_digest(folder), "inputs": readings})


def _dataset(
    layout: Layout, job: TrainingJob, name: str, value: Dataset, folder: Path, say: Say, prepare: Prepare | None
) -> Snapshot:
    with Features(layout) as features:
        for store in value.features if prepare else ():
            assert prepare is not None
            prepare(features, store)
        return features.dataset(
            _dataset_name(job, name),
            value.source,
            folder,
            [physical_name(store) for store in value.features],
            digest=source_digest(folder),
            refresh_seconds=_refresh(value),
            progress=say,
        )


def _rows(layout: Layout, store: FeatureStore) -> Snapshot:
    rows = newest(layout, physical_name(store))
    if rows is None:
        raise MlinfraError(
            f"the feature store {store.name!r} was not read yet", remedy=f"mlinfra up {layout.environment}"
        )
    return rows


def _refresh(value: Dataset) -> int | None:
    return seconds(value.refresh) if value.refresh else None


def _dataset_name(job: TrainingJob, name: str) -> str:
    return f"{physical_name(job)}/{name}"

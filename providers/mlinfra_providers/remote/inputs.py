"""What a remote job reads: rows and code, put where the job finds them as trees named by their content."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from mlinfra.adapters import ResolvedPart
from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.digests import PREFIX
from mlinfra.durations import seconds
from mlinfra.problems import MlinfraError, Refused
from mlinfra.training.code import copy_code
from mlinfra_providers.local.features import Features
from mlinfra_providers.local.inputs import read_inputs
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.local.sources import Columns, Snapshot, snapshot, source_digest
from mlinfra_providers.remote.jobs import Tree
from mlinfra_providers.remote.needs import JOINS, ROWS, need
from mlinfra_providers.run_record import Input

Say = Callable[[str], None]
ROWS_FILE = "rows.parquet"


def read(layout: Layout, part: ResolvedPart, say: Say) -> Mapping[str, Input]:
    """Read the job's inputs here: sources by their functions, datasets joined by Feast, as on the local target.

    What was read is kept under the repository's `.mlinfra/<environment>`, and read again when it is old or changed.

    Raises:
        MlinfraError: a source fails, or its rows do not fit the declaration.
    """
    stores = part.part.references()
    need("reading what a job trains on", *ROWS, *(JOINS if stores else ()))
    for store in stores:
        assert isinstance(store, FeatureStore)
        read_store(layout, part, store, say)
    folder = _folder(layout, part)
    return read_inputs(layout, part, say, lambda features, store: _declare(features, store, folder))


def read_store(layout: Layout, part: ResolvedPart, store: FeatureStore, say: Say) -> Snapshot:
    """Return all rows of a feature store, read by its source's function, checked and in the declared types."""
    folder = _folder(layout, part)
    return snapshot(
        layout,
        physical_name(store),
        store.source,
        folder,
        digest=source_digest(folder),
        columns=Columns(
            entity=store.entity.name,
            key=store.entity.key,
            event_time=store.event_time,
            features={feature.name: feature.type for feature in store.features},
        ),
        refresh_seconds=seconds(store.refresh) if store.refresh else None,
        progress=say,
    )


def put_code(store: ArtifactStore, folder: Path, expected: str) -> Tree:
    """Put a stack's code where jobs read, as the digest counts it: without bytecode and hidden files.

    Raises:
        MlinfraError: it changed since it was declared.
    """
    with tempfile.TemporaryDirectory(prefix="mlinfra-code-") as scratch:
        copied = copy_code(folder, Path(scratch) / "code")
        if (found := store.put_tree(copied)) != expected:
            raise MlinfraError(
                f"{folder} changed while the run was prepared: {found}, expected {expected}", remedy="run it again"
            )
        return tree(store, found)


def put_inputs(store: ArtifactStore, inputs: Mapping[str, Input]) -> Mapping[str, Tree]:
    """Put each input where jobs read, as a tree of one file."""
    return {name: put_rows(store, given.path) for name, given in inputs.items()}


def tree(store: ArtifactStore, digest: str) -> Tree:
    """Return a tree of a store with its URL."""
    return Tree(digest, f"{store.url}/trees/{digest.removeprefix(PREFIX)}")


def put_rows(store: ArtifactStore, path: Path) -> Tree:
    """Put a Parquet file where jobs read, as a tree of one file."""
    with tempfile.TemporaryDirectory(prefix=".given-", dir=path.parent) as scratch:
        alone = Path(scratch) / ROWS_FILE
        try:
            alone.hardlink_to(path)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, alone)
        return tree(store, store.put_tree(Path(scratch)))


def _declare(features: Features, store: FeatureStore, folder: Path) -> None:
    """Declare a store to the Feast that joins here. It is a cache: what does not fit the declaration any more goes."""
    spec = {
        "name": physical_name(store),
        "entity": {"name": store.entity.name, "key": store.entity.key},
        "event_time": store.event_time,
        "features": [{"name": feature.name, "type": feature.type} for feature in store.features],
        "online": False,
        "ttl_seconds": seconds(store.ttl) if store.ttl else None,
        "source": store.source,
        "source_digest": source_digest(folder),
    }
    every = seconds(store.refresh) if store.refresh else None
    try:
        features.apply(spec, folder, refresh_seconds=every)
    except Refused:
        features.delete(physical_name(store), destroy_data=True)
        features.apply(spec, folder, refresh_seconds=every)


def _folder(layout: Layout, part: ResolvedPart) -> Path:
    return layout.repository / "stacks" / part.folder

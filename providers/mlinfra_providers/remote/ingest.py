"""Rows of a feature store on a target elsewhere: read here by the source's function, written there once.

    <artifacts>/features/<environment>/<store>.json      which rows are there, of which code, since when
    <given>/trees/<hex digest>/rows.parquet              the rows themselves, where a target reads or compares them

What was written is remembered only when all of it is there: after a kill the same rows are written again, which no
target minds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlinfra.adapters import Ingested, ResolvedPart
from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.digests import canonical_json, digest_json
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.local.sources import is_old
from mlinfra_providers.remote import inputs
from mlinfra_providers.remote.jobs import Tree
from mlinfra_providers.remote.needs import ROWS, need

Say = Callable[[str], None]


@dataclass(frozen=True)
class Rows:
    """All rows of a store: `path` a Parquet file with the declared columns and types, `count` how many.

    Event times are UTC in microseconds. `tree` is the file where jobs of the target read (`rows.parquet` in it).
    """

    path: Path
    digest: str
    count: int
    tree: Tree
    _before: Callable[[], Path | None]

    def before(self) -> Path | None:
        """Return the rows that were written last, as such a file, or None where they are not known any more."""
        return self._before()


class Writer(Protocol):
    """How a target takes rows."""

    def identity(self, part: ResolvedPart) -> str | None:
        """Return what tells this store from one of the same name that was made anew; None where there is none."""
        ...

    def write(self, part: ResolvedPart, rows: Rows, say: Say) -> None:
        """Make these the rows of the store, and bring the newest online where it is. Return when they are there.

        Raises:
            MlinfraError: not all of them are there; the same call writes them again.
        """
        ...


def ingest(
    environment: Environment, repository: Path, part: ResolvedPart, given: str, writer: Writer, say: Say
) -> Ingested:
    """Write a store's rows where they are due; `given` is where jobs of the target read.

    Raises:
        MlinfraError: the source fails, its rows do not fit the declaration, or the target does not take them.
    """
    store = part.part
    assert isinstance(store, FeatureStore)
    need("reading the rows of a feature store", *ROWS)
    there = writer.identity(part)
    if there is None:
        raise MlinfraError(
            f"the feature store {store.name} is not there", remedy=f"mlinfra up {environment.name} --refresh makes it"
        )
    kept, called = ArtifactStore(environment.artifacts or ""), physical_name(store)
    content = kept.ingested(environment.name, called)
    known: Mapping[str, Any] = json.loads(content) if content else {}
    declared = {name: value for name, value in store.spec().items() if name not in _OF_READING}
    same = {"there": there, "declared": digest_json(declared)}
    made_by = {"code": part.code, "source": store.source}
    current = known.items() >= {**same, **made_by}.items()
    if current and not is_old(known["read_at"], seconds(store.refresh) if store.refresh else None):
        return Ingested(known["rows"], known["data"], known["read_at"], written=False)
    read = inputs.read_store(Layout(repository, environment.name), part, store, say)
    same["data"] = read.digest
    record = {**known, **same, **made_by, "rows": read.rows, "read_at": read.read_at}
    written = not known.items() >= same.items()
    if written:
        jobs_read = ArtifactStore(given)
        tree = inputs.put_rows(jobs_read, read.path)
        with _fetched(jobs_read, known.get("tree") if known.get("there") == there else None) as before:
            say(f"{store.name}: writing {read.rows:,} rows")
            writer.write(part, Rows(read.path, read.digest, read.rows, tree, before), say)
        record["tree"] = tree.digest
    kept.put_ingested(environment.name, called, canonical_json(record))
    return Ingested(read.rows, read.digest, read.read_at, written)


_OF_READING = ("name", "renamed_from", "source", "refresh")
"""Fields that say how rows are read, and what a store is called: another value alone writes nothing."""


@contextmanager
def _fetched(store: ArtifactStore, digest: str | None) -> Iterator[Callable[[], Path | None]]:
    with tempfile.TemporaryDirectory(prefix="mlinfra-rows-") as scratch:

        def fetch() -> Path | None:
            if digest is None or not store.has(digest):
                return None
            return store.get_tree(digest, Path(scratch) / "before") / inputs.ROWS_FILE

        yield fetch

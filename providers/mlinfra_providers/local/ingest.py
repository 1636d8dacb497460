"""Rows of a feature store on this machine: its resource reads them; here they are read again when they are old."""

from __future__ import annotations

from mlinfra.adapters import Ingested, ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.local import feature_store
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.local.resources.feature_view import FeatureView
from mlinfra_providers.local.sources import is_old, newest


def ingest(layout: Layout, environment: Environment, part: ResolvedPart) -> Ingested:
    """Read a store's source again where its rows are older than it declares; `part` is the store, in its stack.

    Raises:
        MlinfraError: the store was not made yet, or its source fails.
    """
    store = part.part
    assert isinstance(store, FeatureStore)
    before = newest(layout, physical_name(store))
    if before is not None and is_old(before.read_at, seconds(store.refresh) if store.refresh else None):
        inputs = {"environment": environment.name, **feature_store.definition(part, store)}
        FeatureView(layout.repository).create(inputs)
    rows = newest(layout, physical_name(store))
    if rows is None:
        raise MlinfraError(
            f"the feature store {store.name!r} was not read yet", remedy=f"mlinfra up {environment.name} --refresh"
        )
    written = before is not None and before.digest != rows.digest
    return Ingested(rows.rows, rows.digest, rows.read_at, written)

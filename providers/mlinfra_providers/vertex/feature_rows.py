"""Rows of a feature store in its table of BigQuery, and from there in its feature view.

Loading: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet; readers of the table see the rows
before or those after, as each load is one atomic change. Syncing: https://cloud.google.com/vertex-ai/docs/featurestore/latest/sync-data;
it takes minutes, which nobody waits for here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.environment import Environment
from mlinfra_providers.remote.ingest import Rows
from mlinfra_providers.remote.inputs import ROWS_FILE
from mlinfra_providers.vertex.clients import Clients, explained
from mlinfra_providers.vertex.naming import feature_view, location, online_store
from mlinfra_providers.vertex.storage import feature_table

LONGEST_SECONDS = 3600.0
"""How long a load may take: BigQuery ends one itself after six hours, and what is declared here is read in memory."""


class FeatureRows:
    """Implements `mlinfra_providers.remote.ingest.Writer`."""

    def __init__(self, environment: Environment, clients: Clients) -> None:
        self._environment = environment
        self._clients = clients

    def identity(self, part: ResolvedPart) -> str | None:
        """Return when the table was made."""
        table = self._table(part)
        return table.created.isoformat() if table is not None else None

    def write(self, part: ResolvedPart, rows: Rows, say: Callable[[str], None]) -> None:
        """Put the rows in place of those in the table, then ask for a sync of what is online.

        Raises:
            MlinfraError: BigQuery does not take them, or Vertex AI does not sync.
        """
        from google.cloud.bigquery import LoadJobConfig, SourceFormat, WriteDisposition

        table = self._table(part)
        how = LoadJobConfig(
            source_format=SourceFormat.PARQUET,
            # the table's own: Parquet has no columns that must have a value
            schema=table.schema,
            create_disposition="CREATE_NEVER",
            # not WRITE_TRUNCATE, which takes descriptions and policies of columns away
            write_disposition=WriteDisposition.WRITE_TRUNCATE_DATA,
        )
        url = f"{rows.tree.url}/{ROWS_FILE}"
        with explained(f"loading the rows of {part.part.name}"):
            load = self._clients.tables.load_table_from_uri(
                url, table.reference, location=self._environment.region, job_config=how
            )
            load.result(timeout=LONGEST_SECONDS)
        store = part.part
        assert isinstance(store, FeatureStore)
        if store.online:
            self._sync(store, say)

    def _table(self, part: ResolvedPart) -> Any:
        from google.api_core.exceptions import NotFound

        store = part.part
        assert isinstance(store, FeatureStore)
        path = feature_table(self._environment, store)
        with explained(f"reading {path}"):
            try:
                return self._clients.tables.get_table(path)
            except NotFound:
                return None

    def _sync(self, store: FeatureStore, say: Callable[[str], None]) -> None:
        from google.api_core.exceptions import ClientError

        stores = f"{location(self._environment)}/featureOnlineStores/{online_store(self._environment.name)}"
        view = f"{stores}/featureViews/{feature_view(self._environment.name, store)}"
        with explained(f"bringing {store.name} online"):
            try:
                self._clients.online_stores.sync_feature_view(feature_view=view)
            except ClientError:
                if not self._syncs(view):
                    raise
                say(f"{store.name}: a sync runs already; the newest rows go online with the next one")
            else:
                say(f"{store.name}: the newest rows go online within minutes")

    def _syncs(self, view: str) -> bool:
        """Return whether a sync runs: there is at most one, and which error says so is written nowhere."""
        syncs = self._clients.online_stores.list_feature_view_syncs(parent=view)
        return any(not sync.run_time.HasField("end_time") for sync in syncs)

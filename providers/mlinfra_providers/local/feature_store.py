"""FeatureStore: a Feast feature view over DuckDB, with SQLite for lookups."""

from __future__ import annotations

from typing import Any

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.durations import seconds
from mlinfra_providers.local.naming import options, physical_name
from mlinfra_providers.plugin_resource import PluginResource


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the feature view; it gives its name."""
    store = part.part
    assert isinstance(store, FeatureStore)
    view = PluginResource(
        "mlinfra:local:FeatureView",
        store.name,
        {"environment": links.environment.name, **definition(part, store)},
        options=options(links, protect=True),
    )
    return links.giving(part, name=physical_name(store), resource=view)


def definition(part: ResolvedPart, store: FeatureStore) -> dict[str, Any]:
    """Return everything that the view is made of, as JSON; `part` is any part of the store's stack."""
    return {
        "name": physical_name(store),
        "entity": {"name": store.entity.name, "key": store.entity.key},
        "eventTime": store.event_time,
        "features": [{"name": feature.name, "type": feature.type} for feature in store.features],
        "source": f"stacks/{part.folder}/{store.source}",
        "code": part.code,
        "refreshSeconds": seconds(store.refresh) if store.refresh else None,
        "online": store.online,
        "ttlSeconds": seconds(store.ttl) if store.ttl else None,
        "owner": part.owner,
    }

"""FeatureStore: a table of rows in BigQuery, a feature group over it, and a view that brings the newest online.

What a group reads: https://cloud.google.com/vertex-ai/docs/featurestore/latest/create-featuregroup (a text `entity_id`
and a `feature_timestamp`), so that a view of BigQuery gives the columns these names.
"""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_gcp as gcp

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.durations import seconds
from mlinfra_providers.tags import as_labels, tags_of
from mlinfra_providers.vertex.naming import feature_view, online_store, options
from mlinfra_providers.vertex.schedules import cron
from mlinfra_providers.vertex.storage import dataset_id, feature_table

TYPES = {"float64": "FLOAT64", "int64": "INT64", "string": "STRING", "bool": "BOOL"}
"""The types of BigQuery."""
ENTITY, TIMESTAMP = "entity_id", "feature_timestamp"
"""The columns that a feature group looks for."""
DAILY = "0 0 * * *"


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register table, view, group and features, and where it is online the feature view; gives the table's name."""
    store = part.part
    assert isinstance(store, FeatureStore)
    environment = links.environment
    called, path = feature_view(environment.name, store), feature_table(environment, store)
    table_id = path.rpartition(".")[2]
    labels = as_labels(tags_of(environment, part))
    place = {"project": environment.account, "region": environment.region}
    table = _table(part, links, table_id, labels)
    rows = gcp.bigquery.Table(
        f"{store.name}-rows",
        dataset_id=dataset_id(environment, "features"),
        table_id=f"{table_id}_rows",
        project=environment.account,
        description="mlinfra: what the feature group reads",
        deletion_protection=False,
        view=gcp.bigquery.TableViewArgs(query=_query(store, path), use_legacy_sql=False),
        labels=labels,
        opts=options(links, protect=True, depends_on=[table]),
    )
    group = gcp.vertex.AiFeatureGroup(
        store.name,
        name=called,
        description=f"mlinfra: {called}",
        big_query=gcp.vertex.AiFeatureGroupBigQueryArgs(
            big_query_source=gcp.vertex.AiFeatureGroupBigQueryBigQuerySourceArgs(input_uri=f"bq://{path}_rows"),
            entity_id_columns=[ENTITY],
        ),
        labels=labels,
        opts=options(links, protect=True, depends_on=[rows]),
        **place,
    )
    features = [
        gcp.vertex.AiFeatureGroupFeature(
            f"{store.name}-{feature.name}",
            name=feature.name.lower(),
            feature_group=group.name,
            version_column_name=feature.name,
            description=f"mlinfra: {TYPES[feature.type]}",
            labels=labels,
            opts=options(links),
            **place,
        )
        for feature in store.features
    ]
    if store.online:
        _view(part, links, called, [group, *features])
    return links.giving(part, name=path, resource=group)


def _table(part: ResolvedPart, links: Links, table_id: str, labels: dict[str, str]) -> gcp.bigquery.Table:
    store = part.part
    assert isinstance(store, FeatureStore)
    fields = [
        {"name": store.entity.name, "type": TYPES[store.entity.key], "mode": "REQUIRED"},
        {"name": store.event_time, "type": "TIMESTAMP", "mode": "REQUIRED"},
        *({"name": feature.name, "type": TYPES[feature.type], "mode": "NULLABLE"} for feature in store.features),
    ]
    return gcp.bigquery.Table(
        f"{store.name}-table",
        dataset_id=dataset_id(links.environment, "features"),
        table_id=table_id,
        project=links.environment.account,
        description=_source(part, store),
        # the engine's own guards it; the provider's could not be taken off and the table replaced in one `up`
        deletion_protection=False,
        schema=json.dumps(fields),
        time_partitioning=gcp.bigquery.TableTimePartitioningArgs(type="DAY", field=store.event_time),
        clusterings=[store.entity.name],
        encryption_configuration=gcp.bigquery.TableEncryptionConfigurationArgs(kms_key_name=links.around.key),
        labels=labels,
        opts=options(links, protect=True, depends_on=[*links.around.made]),
    )


def _source(part: ResolvedPart, store: FeatureStore) -> str:
    """Return what the rows are made by: who finds a table wants to know."""
    every = f", every {store.refresh}" if store.refresh else ""
    return f"mlinfra: made by {part.folder}/{store.source} of {part.code}{every}"


def _query(store: FeatureStore, path: str) -> str:
    """Return the view: what a group looks for, the features, and only rows that are not too old to be given."""
    selected = [f"CAST(`{store.entity.name}` AS STRING) AS `{ENTITY}`", f"`{store.event_time}` AS `{TIMESTAMP}`"]
    selected += [f"`{feature.name}`" for feature in store.features]
    query = f"SELECT {', '.join(selected)} FROM `{path}`"
    if store.ttl is None:
        return query
    newest = f"TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL {seconds(store.ttl):g} SECOND)"
    return f"{query} WHERE `{store.event_time}` >= {newest}"


def _view(part: ResolvedPart, links: Links, called: str, depends_on: list[Any]) -> pulumi.Resource:
    store = part.part
    assert isinstance(store, FeatureStore)
    schedule = (cron(store.refresh) if store.refresh else None) or DAILY
    group = gcp.vertex.AiFeatureOnlineStoreFeatureviewFeatureRegistrySourceFeatureGroupArgs
    return gcp.vertex.AiFeatureOnlineStoreFeatureview(
        store.name,
        name=called,
        project=links.environment.account,
        region=links.environment.region or "",
        feature_online_store=online_store(links.environment.name),
        sync_config=gcp.vertex.AiFeatureOnlineStoreFeatureviewSyncConfigArgs(cron=f"TZ=UTC {schedule}"),
        feature_registry_source=gcp.vertex.AiFeatureOnlineStoreFeatureviewFeatureRegistrySourceArgs(
            feature_groups=[
                group(feature_group_id=called, feature_ids=[feature.name.lower() for feature in store.features])
            ]
        ),
        labels=as_labels(tags_of(links.environment, part)),
        opts=options(links, depends_on=depends_on),
    )

"""FeatureStore: an entity, a definition of its columns in the store of models, and a feature set that reads it.

Definitions: https://learn.microsoft.com/azure/machine-learning/reference-yaml-featureset-spec; JSON is YAML, too. A
feature set cannot be changed: other columns are another version, made beside, and the old one stays.
"""

from __future__ import annotations

from typing import Any

from pulumi_azure_native import machinelearningservices as ml

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.digests import digest_json, short
from mlinfra.durations import seconds
from mlinfra_providers.azureml.features import DATASTORE, rows
from mlinfra_providers.azureml.naming import feature_store_name, name, options, place, plugin_options
from mlinfra_providers.azureml.places import records
from mlinfra_providers.azureml.schedules import START, recurrence
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.tags import tags_of

TYPES = {"float64": "Double", "int64": "Long", "string": "String", "bool": "Boolean"}
"""The types of feature sets (REST models: FeatureDataType)."""
SPARK_MACHINE = "standard_e4s_v3"
DAILY = "1d"
_VERSION, _DIGITS = "1", 8
_DAY, _HOUR, _MINUTE = 24 * 3600, 3600, 60


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register entity, definition and feature set; gives the name of the set."""
    store = part.part
    assert isinstance(store, FeatureStore)
    environment = links.environment
    called, tags = name(environment.name, store, limit=255), tags_of(environment, part)
    inside = {
        "resource_group_name": environment.resource_group or "",
        "workspace_name": feature_store_name(environment),
    }
    ready = options(links, protect=True, depends_on=[*links.around.stores])
    entity = ml.FeaturestoreEntityContainerEntity(
        store.name,
        name=called,
        properties=ml.FeaturestoreEntityContainerPropertiesArgs(description=f"mlinfra: {store.entity.name}", tags=tags),
        opts=ready,
        **inside,
    )
    columns = ml.FeaturestoreEntityVersion(
        store.name,
        name=called,
        version=_VERSION,
        properties=ml.FeaturestoreEntityVersionPropertiesArgs(
            description=f"mlinfra: the key of {store.entity.name}",
            index_columns=[ml.IndexColumnArgs(column_name=store.entity.name, data_type=TYPES[store.entity.key])],
            stage="Production",
            tags=tags,
        ),
        opts=options(links, protect=True, depends_on=[entity]),
        **inside,
    )
    definition, path = _definition(part, links, called)
    container = ml.FeaturesetContainerEntity(
        store.name,
        name=called,
        properties=ml.FeaturesetContainerPropertiesArgs(description=_source(part, store), tags=tags),
        opts=ready,
        **inside,
    )
    version = short(digest_json([path, store.spec()["entity"]]))[:_DIGITS]
    features = PluginResource(
        "mlinfra:azureml:FeaturesetVersion",
        store.name,
        {
            **place(links),
            "workspaceName": feature_store_name(environment),
            "name": called,
            "version": version,
            "properties": {
                "description": _source(part, store),
                "entities": [f"azureml:{called}:{_VERSION}"],
                "specification": {"path": f"azureml://datastores/{DATASTORE}/paths/{path}"},
                "stage": "Production",
                "materializationSettings": _materialised(store),
                "tags": tags,
            },
        },
        options=plugin_options(links, depends_on=[container, columns, definition]),
    )
    return links.giving(part, name=called, resource=features)


def _definition(part: ResolvedPart, links: Links, called: str) -> tuple[PluginResource, str]:
    """Register the definition; return it, and the folder that it is in, named by what is in it."""
    store = part.part
    assert isinstance(store, FeatureStore)
    content: dict[str, Any] = {
        "source": {
            "type": "parquet",
            "path": rows(links.environment, called),
            "timestamp_column": {"name": store.event_time},
        },
        "features": [{"name": feature.name, "type": TYPES[feature.type].lower()} for feature in store.features],
        "index_columns": [{"name": store.entity.name, "type": TYPES[store.entity.key].lower()}],
    }
    if store.ttl is not None:
        content["temporal_join_lookback"] = _units(seconds(store.ttl))
    there = records(links.environment, "features", called)
    folder = there.below(short(digest_json(content))[:_DIGITS])
    made = PluginResource(
        "mlinfra:azureml:FeatureSetSpec",
        store.name,
        {
            **place(links),
            "featureSet": called,
            "account": there.account,
            "container": there.container,
            "record": folder.below("FeatureSetSpec.yaml").path,
            "content": content,
        },
        options=plugin_options(links, depends_on=[*links.around.stores]),
    )
    return made, folder.path


def _materialised(store: FeatureStore) -> dict[str, Any]:
    """Return when rows are brought to the stores, by whom, and to which."""
    frequency, interval = recurrence(store.refresh or DAILY) or ("Day", 1)
    return {
        "storeType": "OnlineAndOffline" if store.online else "Offline",
        "resource": {"instanceType": SPARK_MACHINE},
        "schedule": {
            "triggerType": "Recurrence",
            "frequency": frequency,
            "interval": interval,
            "startTime": START,
            "timeZone": "UTC",
        },
        "sparkConfiguration": {"spark.executor.instances": "1"},
    }


def _units(length: float) -> dict[str, int]:
    """Return a duration in whole days, hours and minutes, the last rounded up."""
    days, rest = divmod(length, _DAY)
    hours, rest = divmod(rest, _HOUR)
    return {"days": int(days), "hours": int(hours), "minutes": int(-(-rest // _MINUTE))}


def _source(part: ResolvedPart, store: FeatureStore) -> str:
    """Return what the rows are made by: who finds a feature set wants to know."""
    every = f", every {store.refresh}" if store.refresh else ""
    return f"mlinfra: made by {part.folder}/{store.source} of {part.code}{every}"

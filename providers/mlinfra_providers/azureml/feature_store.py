"""FeatureStore: an entity, a definition of its columns in the store of models, and a feature set that reads it.

The definition is written as JSON, which is YAML, too. A feature set cannot be changed: other columns are another
version, made beside, and the old one stays.
"""

from __future__ import annotations

from typing import Any

from pulumi_azure_native import machinelearningservices as ml

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra_providers.azureml import feature_sets
from mlinfra_providers.azureml.feature_sets import SPARK, TYPES
from mlinfra_providers.azureml.features import DATASTORE
from mlinfra_providers.azureml.naming import feature_store_name, options, place, plugin_options
from mlinfra_providers.azureml.schedules import START, recurrence
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.tags import tags_of

DAILY = "1d"
_VERSION = "1"


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register entity, definition and feature set; gives the name of the set."""
    store = part.part
    assert isinstance(store, FeatureStore)
    environment = links.environment
    called, tags = feature_sets.called(environment, store), tags_of(environment, part)
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
    definition, path = _definition(store, links)
    container = ml.FeaturesetContainerEntity(
        store.name,
        name=called,
        properties=ml.FeaturesetContainerPropertiesArgs(description=_source(part, store), tags=tags),
        opts=ready,
        **inside,
    )
    features = PluginResource(
        "mlinfra:azureml:FeaturesetVersion",
        store.name,
        {
            **place(links),
            "workspaceName": feature_store_name(environment),
            "name": called,
            "version": feature_sets.version(environment, store),
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


def _definition(store: FeatureStore, links: Links) -> tuple[PluginResource, str]:
    """Register the definition; return it, and the folder that it is in."""
    folder = feature_sets.folder(links.environment, store)
    made = PluginResource(
        "mlinfra:azureml:FeatureSetSpec",
        store.name,
        {
            **place(links),
            "featureSet": feature_sets.called(links.environment, store),
            "account": folder.account,
            "container": folder.container,
            "record": folder.below("FeatureSetSpec.yaml").path,
            "content": feature_sets.definition(links.environment, store),
        },
        options=plugin_options(links, depends_on=[*links.around.stores]),
    )
    return made, folder.path


def _materialised(store: FeatureStore) -> dict[str, Any]:
    """Return when rows are brought to the stores, by whom, and to which."""
    frequency, interval = recurrence(store.refresh or DAILY) or ("Day", 1)
    return {
        "storeType": "OnlineAndOffline" if store.online else "Offline",
        **SPARK,
        "schedule": {
            "triggerType": "Recurrence",
            "frequency": frequency,
            "interval": interval,
            "startTime": START,
            "timeZone": "UTC",
        },
    }


def _source(part: ResolvedPart, store: FeatureStore) -> str:
    """Return what the rows are made by: who finds a feature set wants to know."""
    every = f", every {store.refresh}" if store.refresh else ""
    return f"mlinfra: made by {part.folder}/{store.source} of {part.code}{every}"

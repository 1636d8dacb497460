"""What a feature set is: its name and version, its definition, and where its rows lie.

Definitions: https://learn.microsoft.com/azure/machine-learning/reference-yaml-featureset-spec. Their source is a
folder, read by the ABFS driver, as Microsoft asks of data that is not public:
https://learn.microsoft.com/azure/machine-learning/tutorial-network-isolation-for-feature-store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.digests import digest_json, short
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra_providers.azureml.naming import name
from mlinfra_providers.azureml.places import Place, abfss, records

TYPES = {"float64": "Double", "int64": "Long", "string": "String", "bool": "Boolean"}
"""The types of feature sets (REST models: FeatureDataType)."""
SPARK: Mapping[str, Any] = {
    "resource": {"instanceType": "standard_e4s_v3"},
    "sparkConfiguration": {"spark.executor.instances": "1"},
}
"""What rows are materialised on, by the schedule and when they are written."""
_LIMIT, _DIGITS = 255, 8
_DAY, _HOUR, _MINUTE = 24 * 3600, 3600, 60


def called(environment: Environment, store: FeatureStore) -> str:
    """Return the name of a feature set, which is its entity's, too."""
    return name(environment.name, store, limit=_LIMIT)


def rows(environment: Environment, store: FeatureStore) -> Place:
    """Return the folder of a store's rows: beside the models, where CI writes and Spark reads."""
    return records(environment, "rows", called(environment, store))


def definition(environment: Environment, store: FeatureStore) -> dict[str, Any]:
    """Return what is written as `FeatureSetSpec.yaml`."""
    content: dict[str, Any] = {
        "source": {
            "type": "parquet",
            "path": abfss(rows(environment, store)),
            "timestamp_column": {"name": store.event_time},
        },
        "features": [{"name": feature.name, "type": TYPES[feature.type].lower()} for feature in store.features],
        "index_columns": [{"name": store.entity.name, "type": TYPES[store.entity.key].lower()}],
    }
    if store.ttl is not None:
        content["temporal_join_lookback"] = _units(seconds(store.ttl))
    return content


def folder(environment: Environment, store: FeatureStore) -> Place:
    """Return the folder of the definition, named by what is in it."""
    there = records(environment, "features", called(environment, store))
    return there.below(short(digest_json(definition(environment, store)))[:_DIGITS])


def version(environment: Environment, store: FeatureStore) -> str:
    """Return the version of the feature set: another definition or entity is another one."""
    return short(digest_json([folder(environment, store).path, store.spec()["entity"]]))[:_DIGITS]


def path(environment: Environment, store: FeatureStore) -> str:
    """Return where the version is in the workspace of the kind FeatureStore."""
    return f"featuresets/{called(environment, store)}/versions/{version(environment, store)}"


def _units(length: float) -> dict[str, int]:
    """Return a duration in whole days, hours and minutes, the last rounded up."""
    days, rest = divmod(length, _DAY)
    hours, rest = divmod(rest, _HOUR)
    return {"days": int(days), "hours": int(hours), "minutes": int(-(-rest // _MINUTE))}

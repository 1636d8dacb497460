"""FeatureStore: a feature group with an online store, and an offline one as an Iceberg table."""

from __future__ import annotations

import pulumi_aws as aws

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.durations import seconds
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.sagemaker.around import data_uri, database_name
from mlinfra_providers.sagemaker.naming import FEATURE_GROUP_LIMIT, name, options, place, plugin_options
from mlinfra_providers.sagemaker.roles import role, writing
from mlinfra_providers.short_names import short_name
from mlinfra_providers.tags import tags_of

TYPES = {"float64": "Fractional", "int64": "Integral", "string": "String"}
"""The types of a feature group (botocore: FeatureType). It has none for truth values."""
EVENT_TIME_TYPE = "String"
"""ISO 8601, which Athena reads as a time; the other type is seconds since 1970."""


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the group and its role; gives the group's name."""
    store = part.part
    assert isinstance(store, FeatureStore)
    environment, around = links.environment, links.around
    called = name(environment.name, store, limit=FEATURE_GROUP_LIMIT)
    uri = data_uri(environment, "features", called)
    owner = role(part, links, "features", [*writing(environment, uri), *around.using_key])
    columns = {
        store.entity.name: TYPES[store.entity.key],
        store.event_time: EVENT_TIME_TYPE,
        **{feature.name: TYPES[feature.type] for feature in store.features},
    }
    group = aws.sagemaker.FeatureGroup(
        store.name,
        feature_group_name=called,
        # no name of today's in it: another description would replace the group
        description=f"mlinfra: {called}",
        record_identifier_feature_name=store.entity.name,
        event_time_feature_name=store.event_time,
        feature_definitions=[
            aws.sagemaker.FeatureGroupFeatureDefinitionArgs(feature_name=column, feature_type=kind)
            for column, kind in columns.items()
        ],
        role_arn=owner.arn,
        online_store_config=_online(store, links) if store.online else None,
        offline_store_config=aws.sagemaker.FeatureGroupOfflineStoreConfigArgs(
            table_format="Iceberg",
            data_catalog_config=aws.sagemaker.FeatureGroupOfflineStoreConfigDataCatalogConfigArgs(
                catalog="AwsDataCatalog",
                database=database_name(environment),
                table_name=short_name(environment.name, called, limit=255, separator="_"),
            ),
            s3_storage_config=aws.sagemaker.FeatureGroupOfflineStoreConfigS3StorageConfigArgs(
                s3_uri=uri, kms_key_id=around.key
            ),
        ),
        tags={**tags_of(environment, part), **_source(part, store)},
        # columns are added in place, which pulumi-aws does not do: it would replace the group, and lose the rows
        opts=options(
            links, protect=True, depends_on=[*owner.made, *around.made], ignore_changes=["featureDefinitions"]
        ),
    )
    PluginResource(
        "mlinfra:sagemaker:FeatureColumns",
        store.name,
        {**place(links), "featureGroupName": called, "columns": columns},
        options=plugin_options(links, depends_on=[group]),
    )
    return links.giving(part, name=called, resource=group)


def _online(store: FeatureStore, links: Links) -> aws.sagemaker.FeatureGroupOnlineStoreConfigArgs:
    return aws.sagemaker.FeatureGroupOnlineStoreConfigArgs(
        enable_online_store=True,
        security_config=aws.sagemaker.FeatureGroupOnlineStoreConfigSecurityConfigArgs(kms_key_id=links.around.key),
        ttl_duration=aws.sagemaker.FeatureGroupOnlineStoreConfigTtlDurationArgs(
            unit="Seconds", value=seconds(store.ttl)
        )
        if store.ttl
        else None,
    )


def _source(part: ResolvedPart, store: FeatureStore) -> dict[str, str]:
    """Return what the rows are made by: a feature group has no field for it, and who finds one wants to know."""
    said = {
        "source": f"{part.folder}/{store.source}",
        "code": part.code,
        "refresh": store.refresh,
        "ttl": store.ttl,
    }
    return {f"mlinfra:{key}": value for key, value in said.items() if value}

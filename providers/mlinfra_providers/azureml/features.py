"""What the feature stores of an environment share: a workspace of the kind FeatureStore, and where rows are kept.

https://learn.microsoft.com/azure/machine-learning/how-to-setup-managed-feature-store-arm-template: offline rows lie in
a Data Lake (Gen2), online ones in Redis, each known by a connection. Names and categories of the connections: as
azure-ai-ml makes them (entities/_feature_store/_constants.py). What the identity of materialisation needs:
https://learn.microsoft.com/azure/machine-learning/how-to-setup-access-control-feature-store.
"""

from __future__ import annotations

import pulumi
from pulumi_azure_native import keyvault, redis, storage
from pulumi_azure_native import machinelearningservices as ml

from mlinfra.environment import Environment
from mlinfra_providers.azureml.naming import (
    ACCOUNT_LIMIT,
    CACHE_LIMIT,
    feature_store_name,
    group_id,
    place_digits,
    vault_id,
)
from mlinfra_providers.azureml.places import account_id, account_name, artifacts, records
from mlinfra_providers.azureml.roles import (
    BLOB_CONTRIBUTOR,
    BLOB_READER,
    CONTRIBUTOR,
    DATA_SCIENTIST,
    grant,
    spark_reads,
)
from mlinfra_providers.azureml.workspace import Machinery, encrypted, make_diagnostics, make_insights, managed_network
from mlinfra_providers.short_names import short_name

OFFLINE, ONLINE = "OfflineStoreConnectionName-mlinfra", "OnlineStoreConnectionName-mlinfra"
DATASTORE = "mlinfra_definitions"
SPARK = "3.4.0"
_CONTAINER = "features"
_CACHE = redis.SkuArgs(name="Standard", family="C", capacity=1)


def make_feature_store(
    machinery: Machinery,
    vault: keyvault.Vault | None,
    encryption: storage.EncryptionArgs,
    online: bool,
    ready: pulumi.ResourceOptions,
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Register all of it; return what must be there before a feature set is registered."""
    environment, tags = machinery.environment, machinery.tags
    lake, container = _lake(machinery, encryption, ready)
    after = pulumi.ResourceOptions.merge(ready, pulumi.ResourceOptions(depends_on=[lake, container]))
    models = artifacts(environment)
    granted: list[pulumi.Resource] = [
        grant(
            environment, f"{environment.name}-features-lake", machinery.owner, BLOB_CONTRIBUTOR,
            account_id(environment, _lake_name(environment)), after,
        ),
        grant(
            environment, f"{environment.name}-features-rows", machinery.owner, BLOB_READER,
            f"{account_id(environment, models.account)}/blobServices/default/containers/{models.container}", ready,
            condition=spark_reads(records(environment)),
        ),
    ]  # fmt: skip
    targets = {OFFLINE: ("ADLSGen2", _lake_target(environment))}
    if online:
        cache = _cache(machinery, opts)
        granted += [
            cache,
            grant(
                environment, f"{environment.name}-features-cache", machinery.owner, CONTRIBUTOR,
                _cache_id(environment), pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[cache])),
            ),
        ]  # fmt: skip
        targets[ONLINE] = ("Redis", _cache_id(environment))
    store = ml.Workspace(
        f"{environment.name}-features",
        workspace_name=feature_store_name(environment),
        resource_group_name=environment.resource_group or "",
        location=environment.region,
        kind="FeatureStore",
        description=f"mlinfra: the features of {environment.name}",
        feature_store_settings=ml.FeatureStoreSettingsArgs(
            compute_runtime=ml.ComputeRuntimeDtoArgs(spark_runtime_version=SPARK),
            offline_store_connection_name=OFFLINE,
            online_store_connection_name=ONLINE if online else None,
        ),
        identity=ml.ManagedServiceIdentityArgs(type="UserAssigned", user_assigned_identities=[machinery.identity]),
        primary_user_assigned_identity=machinery.identity,
        storage_account=account_id(environment, account_name(environment)),
        system_datastores_auth_mode="Identity",
        key_vault=machinery.key.vault_id if vault is None else vault_id(environment),
        application_insights=make_insights(machinery, "features", opts).id,
        encryption=encrypted(machinery),
        hbi_workspace=True,
        public_network_access="Disabled",
        v1_legacy_mode=False,
        managed_network=managed_network(environment, models.account, _lake_name(environment), targets=("blob", "dfs")),
        tags=tags,
        opts=pulumi.ResourceOptions.merge(after, pulumi.ResourceOptions(protect=True, depends_on=granted)),
    )
    make_diagnostics(environment, f"{environment.name}-features", store.id, machinery.logs, opts)
    inside = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[store]))
    connections: list[pulumi.Resource] = [
        ml.WorkspaceConnection(
            f"{environment.name}-{name.partition('-')[0]}",
            connection_name=name,
            resource_group_name=environment.resource_group or "",
            workspace_name=feature_store_name(environment),
            properties=ml.ManagedIdentityAuthTypeWorkspaceConnectionPropertiesArgs(
                auth_type="ManagedIdentity",
                category=category,
                target=target,
                credentials=ml.WorkspaceConnectionManagedIdentityArgs(
                    client_id=machinery.owner.client_id, resource_id=machinery.identity
                ),
            ),
            opts=inside,
        )
        for name, (category, target) in targets.items()
    ]
    scientist = grant(
        environment, f"{environment.name}-features-jobs", machinery.owner, DATA_SCIENTIST,
        f"{group_id(environment)}/providers/Microsoft.MachineLearningServices/workspaces/{feature_store_name(environment)}",
        inside,
    )  # fmt: skip
    definitions = ml.Datastore(
        f"{environment.name}-features-definitions",
        name=DATASTORE,
        resource_group_name=environment.resource_group or "",
        workspace_name=feature_store_name(environment),
        properties=ml.AzureBlobDatastoreArgs(
            datastore_type="AzureBlob",
            account_name=models.account,
            container_name=models.container,
            credentials=ml.NoneDatastoreCredentialsArgs(credentials_type="None"),
            service_data_access_auth_identity="WorkspaceUserAssignedIdentity",
            subscription_id=environment.account,
            resource_group=environment.resource_group,
        ),
        opts=inside,
    )
    return [store, scientist, *connections, definitions]


def _lake(
    machinery: Machinery, encryption: storage.EncryptionArgs, ready: pulumi.ResourceOptions
) -> tuple[storage.StorageAccount, storage.BlobContainer]:
    environment = machinery.environment
    group = environment.resource_group or ""
    protected = pulumi.ResourceOptions.merge(ready, pulumi.ResourceOptions(protect=True))
    lake = storage.StorageAccount(
        f"{environment.name}-features",
        account_name=_lake_name(environment),
        resource_group_name=group,
        location=environment.region,
        kind="StorageV2",
        sku=storage.SkuArgs(name="Standard_LRS"),
        access_tier=storage.AccessTier.HOT,
        is_hns_enabled=True,
        allow_blob_public_access=False,
        allow_cross_tenant_replication=False,
        allow_shared_key_access=False,
        default_to_o_auth_authentication=True,
        enable_https_traffic_only=True,
        minimum_tls_version="TLS1_2",
        public_network_access="Disabled",
        network_rule_set=storage.NetworkRuleSetArgs(default_action=storage.DefaultAction.DENY, bypass="AzureServices"),
        identity=storage.IdentityArgs(type="UserAssigned", user_assigned_identities=[machinery.identity]),
        encryption=encryption,
        tags=machinery.tags,
        opts=protected,
    )
    container = storage.BlobContainer(
        f"{environment.name}-features",
        container_name=_CONTAINER,
        account_name=lake.name,
        resource_group_name=group,
        public_access=storage.PublicAccess.NONE,
        opts=protected,
    )
    return lake, container


def _cache(machinery: Machinery, opts: pulumi.ResourceOptions) -> redis.Redis:
    """Register the one cache that holds the newest values of all stores: with a replica, and no keys to sign in by."""
    environment = machinery.environment
    return redis.Redis(
        f"{environment.name}-features",
        name=_cache_name(environment),
        resource_group_name=environment.resource_group or "",
        location=environment.region,
        sku=_CACHE,
        enable_non_ssl_port=False,
        minimum_tls_version="1.2",
        public_network_access="Disabled",
        disable_access_key_authentication=True,
        redis_configuration=redis.RedisCommonPropertiesRedisConfigurationArgs(aad_enabled="true"),
        redis_version="6",
        tags=machinery.tags,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )


def _lake_name(environment: Environment) -> str:
    return short_name(environment.name, "features", place_digits(environment), limit=ACCOUNT_LIMIT, separator="")


def _lake_target(environment: Environment) -> str:
    return f"{account_id(environment, _lake_name(environment))}/blobServices/default/containers/{_CONTAINER}"


def _cache_name(environment: Environment) -> str:
    return short_name(environment.name, "features", place_digits(environment), limit=CACHE_LIMIT)


def _cache_id(environment: Environment) -> str:
    return f"{group_id(environment)}/providers/Microsoft.Cache/redis/{_cache_name(environment)}"

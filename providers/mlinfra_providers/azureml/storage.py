"""Where things lie: the store of models, which CI reaches, and the environment's own storage account, which is private.

Azure ML's own record of requests lies in the workspace's default container,
`azureml-blobstore-<workspace>/modelDataCollector`
(https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data); what servers capture for gates and
drift monitors lies in the store of models.
"""

from __future__ import annotations

import pulumi
from pulumi_azure_native import storage

from mlinfra.environment import Environment
from mlinfra_providers.azureml.places import CONTAINER, account_name

KEPT_DAYS = 365
"""How long captured requests and logs are kept."""
OLD_VERSIONS_DAYS = 30


def make_account(
    environment: Environment,
    encryption: storage.EncryptionArgs,
    identity: str,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Register account and container, unless the environment names an account: nobody outside reaches them."""
    if environment.bucket is not None:
        return []
    group = environment.resource_group or ""
    protected = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True))
    account = storage.StorageAccount(
        f"{environment.name}-data",
        account_name=account_name(environment),
        resource_group_name=group,
        location=environment.region,
        kind="StorageV2",
        sku=storage.SkuArgs(name="Standard_LRS"),
        access_tier=storage.AccessTier.HOT,
        allow_blob_public_access=False,
        allow_cross_tenant_replication=False,
        allow_shared_key_access=False,
        default_to_o_auth_authentication=True,
        enable_https_traffic_only=True,
        minimum_tls_version="TLS1_2",
        public_network_access="Disabled",
        network_rule_set=storage.NetworkRuleSetArgs(default_action=storage.DefaultAction.DENY, bypass="AzureServices"),
        identity=storage.IdentityArgs(type="UserAssigned", user_assigned_identities=[identity]),
        encryption=encryption,
        tags=tags,
        opts=protected,
    )
    under = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[account]))
    container = storage.BlobContainer(
        f"{environment.name}-data",
        container_name=CONTAINER,
        account_name=account.name,
        resource_group_name=group,
        public_access=storage.PublicAccess.NONE,
        opts=pulumi.ResourceOptions.merge(under, pulumi.ResourceOptions(protect=True)),
    )
    storage.BlobServiceProperties(
        f"{environment.name}-data",
        account_name=account.name,
        resource_group_name=group,
        blob_services_name="default",
        is_versioning_enabled=True,
        delete_retention_policy=storage.DeleteRetentionPolicyArgs(enabled=True, days=7),
        container_delete_retention_policy=storage.DeleteRetentionPolicyArgs(enabled=True, days=7),
        opts=under,
    )
    return [account, container]


def tidy_up(
    environment: Environment, account: storage.StorageAccount, number: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> None:
    """Register what deletes captured requests after a year, and old versions; `number` is the workspace's own."""
    captured = pulumi.Output.concat("azureml-blobstore-", number, "/modelDataCollector")
    storage.ManagementPolicy(
        f"{environment.name}-data",
        account_name=account.name,
        resource_group_name=environment.resource_group or "",
        management_policy_name="default",
        policy=forgetting(captured),
        opts=opts,
    )


def forgetting(captured: pulumi.Input[str], versions: str | None = None) -> storage.ManagementPolicySchemaArgs:
    """Return what deletes captured requests after a year, and old versions, of everything or of what is below."""
    year = storage.ManagementPolicyBaseBlobArgs(
        delete=storage.DateAfterModificationArgs(days_after_modification_greater_than=KEPT_DAYS)
    )
    month = storage.ManagementPolicyVersionArgs(
        delete=storage.DateAfterCreationArgs(days_after_creation_greater_than=OLD_VERSIONS_DAYS)
    )
    actions = storage.ManagementPolicyActionArgs
    return storage.ManagementPolicySchemaArgs(
        rules=[
            _rule("captured", actions(base_blob=year), ["blockBlob", "appendBlob"], captured),
            _rule("versions", actions(version=month), ["blockBlob"], versions),
        ]
    )


def _rule(
    name: str, actions: storage.ManagementPolicyActionArgs, kinds: list[str], below: pulumi.Input[str] | None
) -> storage.ManagementPolicyRuleArgs:
    filters = storage.ManagementPolicyFilterArgs(blob_types=kinds, prefix_match=None if below is None else [below])
    definition = storage.ManagementPolicyDefinitionArgs(actions=actions, filters=filters)
    return storage.ManagementPolicyRuleArgs(name=name, type="Lifecycle", enabled=True, definition=definition)

"""What all parts of an environment share in its resource group: key, storage, workspace, logs, alarms, budget.

What the environment names is taken as it is; what it does not name is made, private and encrypted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pulumi
from pulumi.output import UNKNOWN
from pulumi_azure_native import Provider, authorization, consumption, keyvault, managedidentity, monitor, storage
from pulumi_azure_native import operationalinsights as logs

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.environment import Environment
from mlinfra.realize import Surroundings
from mlinfra_providers.azureml.features import make_feature_store
from mlinfra_providers.azureml.naming import ACCOUNT_LIMIT, group_id, identity_of, vault_id, vault_name
from mlinfra_providers.azureml.places import KEY_ID, account_id, account_name
from mlinfra_providers.azureml.roles import BLOB_CONTRIBUTOR, KEY_USER, grant
from mlinfra_providers.azureml.storage import KEPT_DAYS, make_account, tidy_up
from mlinfra_providers.azureml.workspace import Key, Machinery, make_workspace
from mlinfra_providers.short_names import short_name
from mlinfra_providers.tags import owner_of_all, tags_of

WARNINGS = (("actual", "Actual", 80.0), ("forecast", "Forecasted", 100.0))
"""At which percentage of the budget somebody is told."""
_VAULT_DAYS = 90


@dataclass(frozen=True)
class Around:
    """What the parts get: ids of who is told of alarms and of where logs go, and what must be there first."""

    provider: Provider
    alarms: pulumi.Output[str]
    logs: pulumi.Output[str]
    made: Sequence[pulumi.Resource]
    stores: Sequence[pulumi.Resource] = ()
    """What must be there before a feature set is registered."""


def surround(parts: Sequence[ResolvedPart], links: Links) -> Links:
    """Register what the parts share."""
    environment = links.environment
    component = Surroundings(environment)
    tags = tags_of(environment, owner=owner_of_all(parts))
    provider = Provider(
        environment.name,
        subscription_id=environment.account,
        location=environment.region,
        opts=pulumi.ResourceOptions(parent=component),
    )
    opts = pulumi.ResourceOptions(parent=component, provider=provider)
    called = short_name(environment.name, "mlinfra", limit=ACCOUNT_LIMIT)
    owner = managedidentity.UserAssignedIdentity(
        f"{environment.name}-workspace",
        resource_name_=called,
        resource_group_name=environment.resource_group or "",
        location=environment.region,
        tags=tags,
        opts=opts,
    )
    identity = identity_of(environment, called)
    vault = _vault(environment, tags, opts) if environment.encryption is None or not environment.workspace else None
    key = _key(environment, vault, tags, opts)
    encrypts = grant(environment, f"{environment.name}-key", owner, KEY_USER, key.vault_id, _after(opts, key.made))
    encrypted = _after(opts, [encrypts, *key.made])
    group = environment.resource_group or ""
    stored = make_account(environment, _encryption(key, identity), identity, tags, encrypted)
    blobs = grant(
        environment, f"{environment.name}-blobs", owner, BLOB_CONTRIBUTOR,
        account_id(environment, account_name(environment)), _after(opts, stored),
    )  # fmt: skip
    lines = logs.Workspace(
        f"{environment.name}-logs",
        workspace_name=short_name(environment.name, "mlinfra", limit=63),
        resource_group_name=group,
        location=environment.region,
        sku=logs.WorkspaceSkuArgs(name="PerGB2018"),
        retention_in_days=KEPT_DAYS,
        features=logs.WorkspaceFeaturesArgs(disable_local_auth=True),
        tags=tags,
        opts=opts,
    )
    alarms = _alarms(environment, tags, opts)
    machinery = Machinery(environment, key, owner, identity, lines.id, tags)
    made: list[pulumi.Resource] = [encrypts, *key.made, *stored, blobs]
    workspace, inside = make_workspace(machinery, vault, _after(opts, made), opts)
    if workspace is not None:
        for account in stored:
            if isinstance(account, storage.StorageAccount):
                tidy_up(environment, account, workspace.workspace_id, opts)
    made += inside
    stores = [part.part for part in parts if isinstance(part.part, FeatureStore)]
    kept: list[pulumi.Resource] = []
    if stores:
        online = any(store.online for store in stores)
        kept = make_feature_store(machinery, vault, _encryption(key, identity), online, _after(opts, made), opts)
    _budget(environment, alarms, opts)
    return replace(links, around=Around(provider, alarms.id, lines.id, made, [*made, *kept]))


def _after(opts: pulumi.ResourceOptions, made: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(made)))


def _tenant(found: authorization.GetClientConfigResult) -> Any:
    # offline nobody is signed in
    return found.tenant_id or UNKNOWN


def _vault(environment: Environment, tags: dict[str, str], opts: pulumi.ResourceOptions) -> keyvault.Vault:
    """Register the vault: of the key, and of the workspace's secrets. What is deleted in it comes back for 90 days."""
    asked = pulumi.InvokeOptions(parent=opts.parent, provider=opts.provider)
    return keyvault.Vault(
        f"{environment.name}-vault",
        vault_name=vault_name(environment),
        resource_group_name=environment.resource_group or "",
        location=environment.region,
        properties=keyvault.VaultPropertiesArgs(
            tenant_id=authorization.get_client_config_output(opts=asked).apply(_tenant),
            sku=keyvault.SkuArgs(family="A", name=keyvault.SkuName.STANDARD),
            enable_rbac_authorization=True,
            enable_purge_protection=True,
            enable_soft_delete=True,
            soft_delete_retention_in_days=_VAULT_DAYS,
            public_network_access="Disabled",
            network_acls=keyvault.NetworkRuleSetArgs(bypass="AzureServices", default_action="Deny"),
        ),
        tags=tags,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )


def _key(
    environment: Environment, vault: keyvault.Vault | None, tags: dict[str, str], opts: pulumi.ResourceOptions
) -> Key:
    """Return the key, the environment's own or one that rotates every 90 days and is made."""
    if environment.encryption is not None:
        found = KEY_ID.fullmatch(environment.encryption.key)
        assert found is not None
        there, vault_called, key_name, version = found.groups()
        uri = f"https://{vault_called}.vault.azure.net/"
        identifier = "/".join([f"{uri}keys/{key_name}", *([version] if version else [])])
        return Key(there, uri, key_name, identifier, [])
    assert vault is not None
    called = short_name(environment.name, "mlinfra", limit=127)
    key = keyvault.Key(
        f"{environment.name}-key",
        key_name=called,
        vault_name=vault.name,
        resource_group_name=environment.resource_group or "",
        properties=keyvault.KeyPropertiesArgs(
            kty="RSA",
            key_size=3072,
            key_ops=["wrapKey", "unwrapKey"],
            rotation_policy=keyvault.RotationPolicyArgs(
                lifetime_actions=[
                    keyvault.LifetimeActionArgs(
                        action=keyvault.ActionArgs(type=keyvault.KeyRotationPolicyActionType.ROTATE),
                        trigger=keyvault.TriggerArgs(time_after_create="P90D"),
                    )
                ]
            ),
        ),
        tags=tags,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )
    uri = f"https://{vault_name(environment)}.vault.azure.net/"
    return Key(vault_id(environment), uri, called, key.key_uri_with_version, [vault, key])


def _encryption(key: Key, identity: str) -> storage.EncryptionArgs:
    """Return the encryption of a storage account: it follows the key's newest version."""
    service = storage.EncryptionServiceArgs(enabled=True, key_type="Account")
    return storage.EncryptionArgs(
        key_source="Microsoft.Keyvault",
        key_vault_properties=storage.KeyVaultPropertiesArgs(key_name=key.name, key_vault_uri=key.vault_uri),
        encryption_identity=storage.EncryptionIdentityArgs(encryption_user_assigned_identity=identity),
        require_infrastructure_encryption=True,
        services=storage.EncryptionServicesArgs(blob=service, file=service),
    )


def _alarms(environment: Environment, tags: dict[str, str], opts: pulumi.ResourceOptions) -> monitor.ActionGroup:
    """Register the group that alarms and warnings go to: the owners of the subscription, until others are added."""
    owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    return monitor.ActionGroup(
        f"{environment.name}-alarms",
        action_group_name=short_name(environment.name, "mlinfra-alarms", limit=260),
        group_short_name="mlinfra",
        resource_group_name=environment.resource_group or "",
        location="global",
        enabled=True,
        arm_role_receivers=[monitor.ArmRoleReceiverArgs(name="owners", role_id=owner, use_common_alert_schema=True)],
        tags=tags,
        opts=opts,
    )


def _budget(environment: Environment, alarms: monitor.ActionGroup, opts: pulumi.ResourceOptions) -> None:
    """Register the budget that the environment names: on what carries its tag, with two warnings.

    A budget begins with the month in which it is made, which is not known before; afterwards it stays as it is.
    https://learn.microsoft.com/rest/api/consumption/budgets/create-or-update
    """
    if environment.budget is None:
        return
    now: Any = UNKNOWN if pulumi.runtime.is_dry_run() else f"{datetime.now(UTC):%Y-%m}-01T00:00:00Z"
    consumption.Budget(
        f"{environment.name}-budget",
        budget_name=short_name(environment.name, "mlinfra", limit=63),
        scope=group_id(environment),
        amount=environment.budget.monthly_usd,
        category="Cost",
        time_grain="Monthly",
        time_period=consumption.BudgetTimePeriodArgs(start_date=now),
        filter=consumption.BudgetFilterArgs(
            tags=consumption.BudgetComparisonExpressionArgs(
                name="environment", operator="In", values=[environment.tags.get("environment", environment.name)]
            )
        ),
        notifications={
            name: consumption.NotificationArgs(
                enabled=True,
                operator="GreaterThan",
                threshold=threshold,
                threshold_type=kind,
                contact_emails=[],
                contact_groups=[alarms.id],
            )
            for name, kind, threshold in WARNINGS
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["timePeriod"])),
    )

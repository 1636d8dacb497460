"""Registers what `mlinfra bootstrap` makes at Azure; bootstrap.py says what and why."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import pulumi
from pulumi_azure_native import (
    Provider,
    authorization,
    containerregistry,
    keyvault,
    managedidentity,
    resources,
    storage,
)

from mlinfra.environment import Environment
from mlinfra.footing import Footing
from mlinfra.foundation import CI_PLAN, KEY, SourceHost, Thing
from mlinfra_providers.azureml import permissions
from mlinfra_providers.azureml.naming import group_id, role_assignment_name
from mlinfra_providers.azureml.roles import BLOB_CONTRIBUTOR, BLOB_READER
from mlinfra_providers.azureml.storage import forgetting

AUDIENCE = "api://AzureADTokenExchange"
CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424"
"""Key Vault Crypto User: encrypts and decrypts by keys."""
_DAYS = 30
_ROLES = uuid.UUID("6f1a3d0c-3d38-4d5f-9a53-0d6f2f5d7a11")


class Made:
    """Registers things of one environment."""

    def __init__(self, environment: Environment, provider: Provider, tags: Mapping[str, str]) -> None:
        self._environment = environment
        self._group = environment.resource_group or ""
        self._provider = provider
        self._tags = dict(tags)

    def group(self) -> pulumi.Resource:
        """The resource group."""
        return resources.ResourceGroup(
            "group",
            resource_group_name=self._group,
            location=self._environment.region,
            tags=self._tags,
            opts=Footing("group").options(self._provider),
        )

    def account(self, thing: Thing, first: list[pulumi.Resource], captured: str | None) -> pulumi.Resource:
        """A storage account that CI reaches by identities alone: versioned, encrypted twice, never public.

        What servers capture below `captured`, a container and a path, is deleted after a year.
        """
        opts = Footing(thing.key).options(self._provider, first)
        made = storage.StorageAccount(
            thing.key,
            account_name=thing.name,
            resource_group_name=self._group,
            location=self._environment.region,
            kind="StorageV2",
            sku=storage.SkuArgs(name="Standard_LRS"),
            access_tier=storage.AccessTier.HOT,
            allow_blob_public_access=False,
            allow_cross_tenant_replication=False,
            allow_shared_key_access=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            minimum_tls_version="TLS1_2",
            encryption=storage.EncryptionArgs(
                key_source="Microsoft.Storage",
                require_infrastructure_encryption=True,
                services=storage.EncryptionServicesArgs(blob=storage.EncryptionServiceArgs(enabled=True)),
            ),
            tags=self._tags,
            opts=opts,
        )
        storage.BlobServiceProperties(
            thing.key,
            account_name=made.name,
            resource_group_name=self._group,
            blob_services_name="default",
            is_versioning_enabled=True,
            delete_retention_policy=storage.DeleteRetentionPolicyArgs(enabled=True, days=_DAYS),
            container_delete_retention_policy=storage.DeleteRetentionPolicyArgs(enabled=True, days=_DAYS),
            opts=opts,
        )
        if captured is not None:
            storage.ManagementPolicy(
                thing.key,
                account_name=made.name,
                resource_group_name=self._group,
                management_policy_name="default",
                policy=forgetting(captured, captured),
                opts=opts,
            )
        return made

    def container(self, thing: Thing, first: list[pulumi.Resource]) -> pulumi.Resource:
        """A private container."""
        account, _, container = thing.name.partition("/")
        return storage.BlobContainer(
            thing.key,
            container_name=container,
            account_name=account,
            resource_group_name=self._group,
            public_access=storage.PublicAccess.NONE,
            opts=Footing(thing.key).options(self._provider, first),
        )

    def key(self, thing: Thing, first: list[pulumi.Resource]) -> pulumi.Resource:
        """A vault without access policies, whose keys come back for 90 days, and a key in it."""
        vault, _, key = thing.name.partition("/")
        opts = Footing(KEY).options(self._provider, first)
        asked = pulumi.InvokeOptions(provider=self._provider)
        tenant = authorization.get_client_config_output(opts=asked).apply(lambda told: told.tenant_id if told else "")
        made = keyvault.Vault(
            KEY,
            vault_name=vault,
            resource_group_name=self._group,
            location=self._environment.region,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=tenant,
                sku=keyvault.SkuArgs(family="A", name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_purge_protection=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=90,
            ),
            tags=self._tags,
            opts=opts,
        )
        return keyvault.Key(
            KEY,
            key_name=key,
            vault_name=made.name,
            resource_group_name=self._group,
            properties=keyvault.KeyPropertiesArgs(kty="RSA", key_size=3072, key_ops=["encrypt", "decrypt"]),
            tags=self._tags,
            opts=opts,
        )

    def registry(self, thing: Thing, first: list[pulumi.Resource]) -> None:
        """A premium registry, as a private workspace needs: without an administrator, and not for anybody."""
        containerregistry.Registry(
            thing.key,
            registry_name=thing.name,
            resource_group_name=self._group,
            location=self._environment.region,
            sku=containerregistry.SkuArgs(name=containerregistry.SkuName.PREMIUM),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            tags=self._tags,
            opts=Footing(thing.key).options(self._provider, first),
        )

    def identity(
        self,
        thing: Thing,
        source: SourceHost,
        stores: Sequence[tuple[str, str]],
        key: tuple[str, str] | None,
        first: list[pulumi.Resource],
    ) -> None:
        """An identity that jobs of one repository become, and what it may."""
        label, plan, environment = thing.key, thing.key == CI_PLAN, self._environment
        opts = Footing(label).options(self._provider, first)
        made = managedidentity.UserAssignedIdentity(
            label,
            resource_name_=thing.name,
            resource_group_name=self._group,
            location=environment.region,
            tags=self._tags,
            opts=opts,
        )
        managedidentity.FederatedIdentityCredential(
            label,
            federated_identity_credential_resource_name=source.kind,
            resource_name_=made.name,
            resource_group_name=self._group,
            audiences=[AUDIENCE],
            issuer=source.issuer,
            subject=source.subject(plan=plan),
            opts=opts,
        )
        for number, (account, container) in enumerate(dict.fromkeys(stores), 1):
            scope = f"{group_id(environment)}/providers/Microsoft.Storage/storageAccounts/{account}"
            role = BLOB_READER if plan else BLOB_CONTRIBUTOR
            scope = f"{scope}/blobServices/default/containers/{container}"
            self._grant(f"{label}-store-{number}", made, self._role(role), scope, opts)
        if key is not None:
            scope = f"{group_id(environment)}/providers/Microsoft.KeyVault/vaults/{key[0]}/keys/{key[1]}"
            self._grant(f"{label}-key", made, self._role(CRYPTO_USER), scope, opts)
        if not plan:
            self._grant(f"{label}-group", made, self._rights(label, opts), group_id(environment), opts)

    def _rights(self, label: str, opts: pulumi.ResourceOptions) -> pulumi.Input[str]:
        """A role of its own: what `up` does in this resource group, and nothing else."""
        environment = self._environment
        actions = sorted({one for each in permissions.needed(environment).values() for one in each})
        made = authorization.RoleDefinition(
            label,
            role_definition_id=str(uuid.uuid5(_ROLES, f"{group_id(environment)}\0{environment.name}\0{label}")),
            role_name=f"mlinfra: {label} of {environment.name} in {self._group}",
            role_type="CustomRole",
            scope=group_id(environment),
            assignable_scopes=[group_id(environment)],
            permissions=[authorization.PermissionArgs(actions=actions, not_actions=[])],
            opts=opts,
        )
        return made.id

    def _role(self, role: str) -> str:
        place = f"/subscriptions/{self._environment.account}/providers/Microsoft.Authorization"
        return f"{place}/roleDefinitions/{role}"

    def _grant(
        self,
        label: str,
        identity: managedidentity.UserAssignedIdentity,
        role: pulumi.Input[str],
        scope: str,
        opts: pulumi.ResourceOptions,
    ) -> None:
        authorization.RoleAssignment(
            label,
            role_assignment_name=role_assignment_name("bootstrap", self._environment.name, label, scope),
            principal_id=identity.principal_id,
            principal_type="ServicePrincipal",
            role_definition_id=role,
            scope=scope,
            opts=opts,
        )

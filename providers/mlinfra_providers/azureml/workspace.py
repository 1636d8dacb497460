"""The workspace: its managed network, what it watches and keeps secrets in, its datastores and environments.

Network: https://learn.microsoft.com/azure/machine-learning/how-to-managed-network. All that computes is in a network
of the workspace's own, which reaches what is approved and nothing else; clients come in by a private endpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import applicationinsights, keyvault, managedidentity, monitor
from pulumi_azure_native import machinelearningservices as ml

from mlinfra.digests import digest_json, short
from mlinfra.environment import Environment
from mlinfra_providers.azureml.naming import vault_id, workspace_id, workspace_name
from mlinfra_providers.azureml.network import make_private_endpoint
from mlinfra_providers.azureml.places import account_id, account_name, artifacts, datastores
from mlinfra_providers.azureml.roles import CONTRIBUTOR, VAULT_ADMINISTRATOR, grant, registry_id
from mlinfra_providers.azureml.storage import KEPT_DAYS
from mlinfra_providers.short_names import short_name

PORT = 5001
"""Where the serving image listens in the mode `azureml`."""
_DIGITS = 12


@dataclass(frozen=True)
class Key:
    """A key: the id and the address of its vault, its name, and its own address."""

    vault_id: str
    vault_uri: str
    name: str
    identifier: pulumi.Input[str]
    made: Sequence[pulumi.Resource]


@dataclass(frozen=True)
class Machinery:
    """What workspaces are made of: `identity` is the id of their `owner`, `logs` the id of where lines go."""

    environment: Environment
    key: Key
    owner: managedidentity.UserAssignedIdentity
    identity: str
    logs: pulumi.Output[str]
    tags: dict[str, str]


def environment_id(environment: Environment, purpose: str) -> str:
    """Return the id of the environment (Azure's word for an image) that a purpose runs in."""
    asset = f"environments/{_image_name(environment, purpose)}/versions/{_version(environment, purpose)}"
    return f"{workspace_id(environment)}/{asset}"


def make_workspace(
    machinery: Machinery, vault: keyvault.Vault | None, ready: pulumi.ResourceOptions, opts: pulumi.ResourceOptions
) -> tuple[ml.Workspace | None, list[pulumi.Resource]]:
    """Register the workspace unless the environment names one, and what is in it; return all of it."""
    environment = machinery.environment
    made: list[pulumi.Resource] = []
    workspace = None
    if environment.workspace is None:
        assert vault is not None
        workspace = _workspace(machinery, vault, ready, opts)
        made += [workspace, *make_private_endpoint(environment, workspace, machinery.tags, opts)]
    inside = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=made))
    group, called = environment.resource_group or "", workspace_name(environment)
    for name, there in datastores(environment).items():
        store = ml.Datastore(
            f"{environment.name}-{name}",
            name=name,
            resource_group_name=group,
            workspace_name=called,
            properties=ml.AzureBlobDatastoreArgs(
                datastore_type="AzureBlob",
                account_name=there.account,
                container_name=there.container,
                credentials=ml.NoneDatastoreCredentialsArgs(credentials_type="None"),
                service_data_access_auth_identity="WorkspaceUserAssignedIdentity",
                subscription_id=environment.account,
                resource_group=group,
            ),
            opts=inside,
        )
        made.append(store)
    made += [_image(machinery, purpose, inside) for purpose in ("serving", "training")]
    return workspace, made


def encrypted(machinery: Machinery) -> ml.EncryptionPropertyArgs:
    """Return the encryption of a workspace by the key."""
    return ml.EncryptionPropertyArgs(
        status="Enabled",
        identity=ml.IdentityForCmkArgs(user_assigned_identity=machinery.identity),
        key_vault_properties=ml.KeyVaultPropertiesArgs(
            key_vault_arm_id=machinery.key.vault_id, key_identifier=machinery.key.identifier
        ),
    )


def managed_network(
    environment: Environment, *accounts: str, targets: Sequence[str] = ("blob",)
) -> ml.ManagedNetworkSettingsArgs:
    """Return the network: what is approved are storage accounts by private endpoints, and what Azure itself demands.

    `targets` are the addresses of each account that are reached: `blob`, and `dfs` where Spark reads or writes.
    """
    return ml.ManagedNetworkSettingsArgs(
        isolation_mode="AllowOnlyApprovedOutbound",
        firewall_sku="Basic",
        outbound_rules={
            f"{account}-{target}": ml.PrivateEndpointOutboundRuleArgs(
                type="PrivateEndpoint",
                category="UserDefined",
                destination=ml.PrivateEndpointDestinationArgs(
                    service_resource_id=account_id(environment, account),
                    subresource_target=target,
                    spark_enabled=True,
                ),
            )
            for account in dict.fromkeys(accounts)
            for target in targets
        },
    )


def make_insights(machinery: Machinery, name: str, opts: pulumi.ResourceOptions) -> applicationinsights.Component:
    """Register what a workspace sends its own measurements to."""
    environment = machinery.environment
    return applicationinsights.Component(
        f"{environment.name}-{name}",
        resource_name_=short_name(environment.name, name, limit=255),
        resource_group_name=environment.resource_group or "",
        location=environment.region,
        application_type="web",
        kind="web",
        ingestion_mode="LogAnalytics",
        workspace_resource_id=machinery.logs,
        disable_local_auth=True,
        retention_in_days=KEPT_DAYS,
        tags=machinery.tags,
        opts=opts,
    )


def make_diagnostics(
    environment: Environment,
    name: str,
    watched: pulumi.Input[str],
    logs: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Register that all lines of a resource go to where logs are kept."""
    monitor.DiagnosticSetting(
        name,
        name=short_name(environment.name, "mlinfra", limit=260),
        resource_uri=watched,
        workspace_id=logs,
        logs=[monitor.DiagnosticsLogSettingsArgs(category_group="allLogs", enabled=True)],
        opts=opts,
    )  # fmt: skip


def _workspace(
    machinery: Machinery, vault: keyvault.Vault, ready: pulumi.ResourceOptions, opts: pulumi.ResourceOptions
) -> ml.Workspace:
    environment = machinery.environment
    insights = make_insights(machinery, "mlinfra", opts)
    label = f"{environment.name}-workspace"
    after = pulumi.ResourceOptions.merge(ready, pulumi.ResourceOptions(depends_on=[vault]))
    granted = [
        grant(environment, f"{label}-{name}", machinery.owner, role, scope, after)
        for name, role, scope in (
            ("storage", CONTRIBUTOR, account_id(environment, account_name(environment))),
            ("secrets", VAULT_ADMINISTRATOR, vault_id(environment)),
            ("vault", CONTRIBUTOR, vault_id(environment)),
        )
    ]
    made = ml.Workspace(
        environment.name,
        workspace_name=workspace_name(environment),
        resource_group_name=environment.resource_group or "",
        location=environment.region,
        kind="Default",
        description=f"mlinfra: {environment.name}",
        identity=ml.ManagedServiceIdentityArgs(type="UserAssigned", user_assigned_identities=[machinery.identity]),
        primary_user_assigned_identity=machinery.identity,
        storage_account=account_id(environment, account_name(environment)),
        system_datastores_auth_mode="Identity",
        key_vault=vault_id(environment),
        application_insights=insights.id,
        container_registry=registry_id(environment),
        encryption=encrypted(machinery),
        hbi_workspace=True,
        public_network_access="Disabled",
        v1_legacy_mode=False,
        managed_network=managed_network(environment, artifacts(environment).account),
        tags=machinery.tags,
        opts=pulumi.ResourceOptions.merge(ready, pulumi.ResourceOptions(protect=True, depends_on=[vault, *granted])),
    )
    make_diagnostics(environment, label, made.id, machinery.logs, opts)
    return made


def _image(machinery: Machinery, purpose: str, opts: pulumi.ResourceOptions) -> ml.EnvironmentVersion:
    """Register an image as an environment. Its version is the image's digest; an old one stays, for what runs in it."""
    environment = machinery.environment
    route = ml.RouteArgs
    serving = ml.InferenceContainerPropertiesArgs(
        liveness_route=route(path="/", port=PORT),
        readiness_route=route(path="/", port=PORT),
        scoring_route=route(path="/score", port=PORT),
    )
    assert environment.images is not None
    return ml.EnvironmentVersion(
        f"{environment.name}-{purpose}-{_version(environment, purpose)}",
        name=_image_name(environment, purpose),
        version=_version(environment, purpose),
        resource_group_name=environment.resource_group or "",
        workspace_name=workspace_name(environment),
        properties=ml.EnvironmentVersionPropertiesArgs(
            description=f"mlinfra: the {purpose} image",
            image=getattr(environment.images, purpose),
            os_type="Linux",
            inference_config=serving if purpose == "serving" else None,
            tags=machinery.tags,
        ),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=True)),
    )


def _image_name(environment: Environment, purpose: str) -> str:
    return short_name(environment.name, "mlinfra", purpose, limit=255)


def _version(environment: Environment, purpose: str) -> str:
    assert environment.images is not None
    return short(digest_json(getattr(environment.images, purpose)))[:_DIGITS]

"""What all kinds share when they declare: names within Azure's limits, resource ids, and options.

Limits: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules, and for endpoints
https://learn.microsoft.com/azure/machine-learning/concept-endpoints-online: their names are unique in a region.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Links
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra_providers.short_names import short_name

if TYPE_CHECKING:
    import pulumi

NAME_LIMIT = 128
"""Of identities; alarms, dashboards and assets have room for more."""
WORKSPACE_LIMIT = 33
ENDPOINT_LIMIT = 32
"""Of endpoints and of deployments."""
COMPUTE_LIMIT = 16
ACCOUNT_LIMIT = 24
"""Of storage accounts and key vaults, whose names are everybody's."""
CACHE_LIMIT = 63
_DIGITS = 6
_ROLES = uuid.UUID("6f1a3d0c-3d38-4d5f-9a53-0d6f2f5d7a11")
"""The namespace of the names of role assignments, which are UUIDs."""


def physical_name(part: Part) -> str:
    """Return the part's name at Azure, without the environment: a renamed part keeps the one that its data has."""
    return part.renamed_from or part.name


def name(environment: str, part: Part, *pieces: str, limit: int = NAME_LIMIT, separator: str = "-") -> str:
    """Return the name of something of a part: `prod-flight-delay`."""
    return short_name(environment, physical_name(part), *pieces, limit=limit, separator=separator)


def place_digits(environment: Environment) -> str:
    """Return six digits of where the environment is, for names that are not ours alone."""
    where = f"{environment.account}\0{environment.resource_group}\0{environment.workspace}"
    return hashlib.sha256(where.encode()).hexdigest()[:_DIGITS]


def endpoint_name(environment: Environment, endpoint: str) -> str:
    """Return the name of an endpoint, by its physical name: unique in its region."""
    return short_name(environment.name, endpoint, place_digits(environment), limit=ENDPOINT_LIMIT)


def workspace_name(environment: Environment) -> str:
    """Return the name of the workspace, the environment's own or the one that is made."""
    return environment.workspace or short_name(environment.name, "mlinfra", limit=WORKSPACE_LIMIT)


def feature_store_name(environment: Environment) -> str:
    """Return the name of the workspace of the kind FeatureStore."""
    return short_name(environment.name, "features", limit=WORKSPACE_LIMIT)


def group_id(environment: Environment) -> str:
    """Return the id of the resource group, under which everything is."""
    return f"/subscriptions/{environment.account}/resourceGroups/{environment.resource_group}"


def workspace_id(environment: Environment) -> str:
    """Return the id of the workspace."""
    return (
        f"{group_id(environment)}/providers/Microsoft.MachineLearningServices/workspaces/{workspace_name(environment)}"
    )


def vault_name(environment: Environment) -> str:
    """Return the name of the vault that is made."""
    return short_name(environment.name, place_digits(environment), limit=ACCOUNT_LIMIT)


def vault_id(environment: Environment) -> str:
    """Return the id of the vault that is made."""
    return f"{group_id(environment)}/providers/Microsoft.KeyVault/vaults/{vault_name(environment)}"


def identity_id(environment: Environment, part: Part, purpose: str) -> str:
    """Return the id of a part's identity, known before it is there."""
    return identity_of(environment, name(environment.name, part, purpose))


def identity_of(environment: Environment, called: str) -> str:
    """Return the id of an identity with this name."""
    return f"{group_id(environment)}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{called}"


def role_assignment_name(*pieces: str) -> str:
    """Return the UUID of a role assignment: the same for the same, and for nothing else."""
    return str(uuid.uuid5(_ROLES, "\0".join(pieces)))


def where(links: Links) -> dict[str, Any]:
    """Return the arguments of what is in the workspace."""
    return {
        "resource_group_name": links.environment.resource_group or "",
        "workspace_name": workspace_name(links.environment),
    }


def options(
    links: Links,
    *,
    protect: bool = False,
    depends_on: Any = None,
    ignore_changes: list[str] | None = None,
    retain: bool | None = None,
) -> pulumi.ResourceOptions:
    """Return the options of a resource of Azure: in the subscription that the environment names.

    With `retain` it stays at Azure when it is declared no more.
    """
    import pulumi

    return pulumi.ResourceOptions(
        parent=links.parent, provider=links.around.provider, protect=protect, depends_on=depends_on,
        ignore_changes=ignore_changes, retain_on_delete=retain,
    )  # fmt: skip


def place(links: Links) -> dict[str, Any]:
    """Return where a resource of the plugin is."""
    environment = links.environment
    return {
        "environment": environment.name,
        "subscriptionId": environment.account,
        "resourceGroupName": environment.resource_group,
        "workspaceName": workspace_name(environment),
    }


def plugin_options(links: Links, *, protect: bool = False, depends_on: Any = None) -> pulumi.ResourceOptions:
    """Return the options of a resource of mlinfra's own plugin."""
    import pulumi

    return pulumi.ResourceOptions(parent=links.parent, protect=protect, depends_on=depends_on)

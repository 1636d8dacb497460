"""An identity for each part, with the least that it needs: some prefixes of some containers, and its image.

Built-in roles: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles. Conditions on the paths of
blobs: https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-attributes.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi_azure_native import authorization, managedidentity

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.digests import digest_json, short
from mlinfra.environment import Environment
from mlinfra_providers.azureml.naming import group_id, name, options, role_assignment_name
from mlinfra_providers.azureml.places import Place, account_id
from mlinfra_providers.tags import tags_of

BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
KEY_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
"""Key Vault Crypto Service Encryption User: wraps and unwraps by a key, and nothing else."""
VAULT_ADMINISTRATOR = "00482a5a-887f-4fb3-b363-3b7fe8e74483"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
DATA_SCIENTIST = "f6c7c914-8db3-469d-8ca1-694a8f32e121"
"""AzureML Data Scientist: everything in a workspace but its computes and itself."""
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_READ = (f"{_BLOBS}/read",)
_WRITE = (*_READ, f"{_BLOBS}/write", f"{_BLOBS}/add/action", f"{_BLOBS}/delete")
_DIGITS = 6


def identity(
    part: ResolvedPart, links: Links, purpose: str, *, reads: Sequence[Place] = (), writes: Sequence[Place] = ()
) -> tuple[managedidentity.UserAssignedIdentity, list[pulumi.Resource]]:
    """Register a part's identity; return it, and all that must be there before it is used."""
    environment = links.environment
    made = managedidentity.UserAssignedIdentity(
        f"{part.part.name}-{purpose}",
        resource_name_=name(environment.name, part.part, purpose),
        resource_group_name=environment.resource_group or "",
        location=environment.region,
        tags=tags_of(environment, part),
        opts=options(links),
    )
    granted: list[pulumi.Resource] = [made]
    opts = options(links, depends_on=[made, *links.around.made])
    for role, actions, places in ((BLOB_READER, _READ, reads), (BLOB_CONTRIBUTOR, _WRITE, writes)):
        for there in dict.fromkeys(places):
            label = f"{part.part.name}-{purpose}-{short(digest_json([role, there.account, there.path]))[:_DIGITS]}"
            scope = f"{account_id(environment, there.account)}/blobServices/default/containers/{there.container}"
            granted.append(grant(environment, label, made, role, scope, opts, condition=_below(there, actions)))
    if registry := registry_id(environment):
        label = f"{part.part.name}-{purpose}-images"
        granted.append(grant(environment, label, made, ACR_PULL, registry, opts))
    return made, granted


def grant(
    environment: Environment,
    label: str,
    owner: managedidentity.UserAssignedIdentity,
    role: str,
    scope: str,
    opts: pulumi.ResourceOptions,
    condition: str | None = None,
) -> authorization.RoleAssignment:
    """Register that an identity has a role at a scope."""
    return authorization.RoleAssignment(
        label,
        role_assignment_name=role_assignment_name(group_id(environment), environment.name, label, role, scope),
        principal_id=owner.principal_id,
        principal_type="ServicePrincipal",
        role_definition_id=(
            f"/subscriptions/{environment.account}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        ),
        scope=scope,
        condition=condition,
        condition_version="2.0" if condition else None,
        opts=opts,
    )


def spark_reads(there: Place) -> str:
    """Return the condition of BLOB_READER by which Spark reads below a path of a container, and no other file.

    Its driver asks for the rights of the container's root before anything, to learn what kind of account it is
    (hadoop-azure: AzureBlobFileSystemStore.getIsNamespaceEnabled). At the top of the store of models are no files.
    """
    return f"{_below(there, _READ)[:-1]} OR (@Resource[{_BLOBS}:path] StringNotLike '?*/?*'))"


def registry_id(environment: Environment) -> str | None:
    """Return the id of the container registry that the images are in."""
    if environment.images is None:
        return None
    registry = environment.images.serving.partition(".")[0]
    return f"{group_id(environment)}/providers/Microsoft.ContainerRegistry/registries/{registry}"


def _below(there: Place, actions: Sequence[str]) -> str:
    """Return the condition: of these actions only those on blobs under one path; a listing tells names alone."""
    path = f"@Resource[{_BLOBS}:path] StringLike '{there.path}/*'"
    asked = " AND ".join(
        f"!(ActionMatches{{'{action}'}}"
        + (" AND NOT SubOperationMatches{'Blob.List'})" if action.endswith("/read") else ")")
        for action in actions
    )
    return f"(({asked}) OR ({path}))"

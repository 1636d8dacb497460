"""References of Azure, which names a resource by its ID."""

from __future__ import annotations

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import Value, at
from mlinfra.resources import Resource

_KINDS = {"Workspace": ("workspaces", "workspaceName"), "Registry": ("registries", "registryName")}


def is_id_of(holder: Resource, reference: Value, target: Resource, inspection: Inspection) -> bool | None:
    """Whether an ID in some resource is that of a workspace or a registry; None where that is not known.

    An unknown ID may come from the target, or from another one of its type. IDs are compared without case.
    """
    if reference.unknown:
        found = inspection.referred(holder, reference, "", target.type)
        return target in found if found else None
    kind, input_ = _KINDS[target.type.rpartition(":")[2]]
    name = at(target.inputs, input_)
    return None if name.unknown else str(reference.value).lower().endswith(f"/{kind}/{name.value}".lower())


def storage_accounts(workspace: Resource, inspection: Inspection) -> list[Resource]:
    """Return the storage account of a workspace, if the plan has it."""
    said = at(workspace.inputs, "storageAccount")
    last = said if said.unknown else Value(said.path, str(said.value or "").rpartition("/")[2])
    return inspection.referred(workspace, last, "accountName", "azure-native:storage:StorageAccount")

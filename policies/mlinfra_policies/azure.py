"""References of Azure, which names a resource by its ID."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import Value, at
from mlinfra.resources import Resource

_KINDS = {"Workspace": ("workspaces", "workspaceName"), "Registry": ("registries", "registryName")}


def said_of_each(
    token: str, holders: Sequence[tuple[Resource, Value, bool]], inspection: Inspection
) -> Mapping[str, set[bool]]:
    """Return, by the URN of each workspace or registry, what resources say that hold an ID of it.

    `holders` are such resources, each with the ID and with whether what it says is sure. Nothing is sure where it is
    not known whose ID it is. An unknown ID may come from its target. IDs are compared without case.
    """
    kind, input_ = _KINDS[token.rpartition(":")[2]]
    names = {target.urn: at(target.inputs, input_) for target in inspection.of(token)}
    found: dict[str, set[bool]] = {urn: set() for urn in names}
    by_name: dict[str, list[str]] = {}
    for urn, name in names.items():
        by_name.setdefault(f"/{kind}/{name.value}".lower(), []).append(urn)
    unsure = False
    for holder, reference, said in holders:
        sources = [each.urn for each in inspection.referred(holder, reference, "", token) if reference.unknown]
        unsure = unsure or (reference.unknown and not sources)
        for urn in sources or by_name.get("/" + "/".join(str(reference.value).lower().split("/")[-2:]), []):
            found[urn].add(said)
    for urn, name in names.items():
        if unsure or (name.unknown and holders):
            found[urn].add(False)
    return found


def storage_accounts(workspace: Resource, inspection: Inspection) -> list[Resource]:
    """Return the storage account of a workspace, if the plan has it."""
    said = at(workspace.inputs, "storageAccount")
    last = said if said.unknown else Value(said.path, str(said.value).rpartition("/")[2])
    return inspection.referred(workspace, last, "accountName", "azure-native:storage:StorageAccount")

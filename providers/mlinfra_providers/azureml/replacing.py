"""What replaces a resource of Azure: the inputs that are its id, and those that the provider cannot change.

Source: the schema of pulumi-azure-native (`replaceOnChanges`, and what is part of a resource's path). A type with
nothing but its path is never replaced by another change of what is declared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GROUP = frozenset({"resourceGroupName"})
_LOCATED = _GROUP | {"location"}
_INSIDE = _GROUP | {"workspaceName"}
_ML = "azure-native:machinelearningservices"


def _of(*inputs: str) -> frozenset[str]:
    return frozenset(inputs)


REPLACED_BY: Mapping[str, frozenset[str]] = {
    "azure-native:applicationinsights:Component": _LOCATED | {"resourceName"},
    "azure-native:authorization:RoleAssignment": _of(
        "roleAssignmentName", "scope", "principalId", "roleDefinitionId", "principalType", "condition",
        "conditionVersion",
    ),
    "azure-native:consumption:Budget": _of("budgetName", "scope"),
    "azure-native:keyvault:Key": _GROUP | {"keyName", "vaultName", "properties"},
    "azure-native:keyvault:Vault": _LOCATED | {"vaultName"},
    f"{_ML}:Compute": _INSIDE | {"computeName", "location", "identity"},
    f"{_ML}:Datastore": _INSIDE | {"name"},
    f"{_ML}:EnvironmentVersion": _INSIDE | {"name", "version"},
    f"{_ML}:FeaturesetContainerEntity": _INSIDE | {"name"},
    f"{_ML}:FeaturestoreEntityContainerEntity": _INSIDE | {"name"},
    f"{_ML}:FeaturestoreEntityVersion": _INSIDE | {"name", "version"},
    f"{_ML}:ModelContainer": _INSIDE | {"name"},
    f"{_ML}:ModelVersion": _INSIDE | {"name", "version"},
    f"{_ML}:OnlineDeployment": _INSIDE | {"endpointName", "deploymentName", "location"},
    f"{_ML}:Schedule": _INSIDE | {"name"},
    f"{_ML}:Workspace": _LOCATED | {"workspaceName"},
    f"{_ML}:WorkspaceConnection": _INSIDE | {"connectionName"},
    "azure-native:managedidentity:UserAssignedIdentity": _LOCATED | {"resourceName"},
    "azure-native:monitor:ActionGroup": _LOCATED | {"actionGroupName"},
    "azure-native:monitor:AutoscaleSetting": _LOCATED | {"autoscaleSettingName"},
    "azure-native:monitor:DiagnosticSetting": _of("name", "resourceUri"),
    "azure-native:monitor:MetricAlert": _LOCATED | {"ruleName"},
    "azure-native:monitor:ScheduledQueryRule": _LOCATED | {"ruleName", "kind"},
    "azure-native:network:PrivateDnsZoneGroup": _GROUP | {"privateDnsZoneGroupName", "privateEndpointName"},
    "azure-native:network:PrivateEndpoint": _LOCATED | {"privateEndpointName"},
    "azure-native:network:VirtualNetwork": _LOCATED | {"virtualNetworkName"},
    "azure-native:operationalinsights:Workspace": _LOCATED | {"workspaceName"},
    "azure-native:portal:Dashboard": _LOCATED | {"dashboardName"},
    "azure-native:privatedns:PrivateZone": _LOCATED | {"privateZoneName"},
    "azure-native:privatedns:VirtualNetworkLink": _LOCATED | {"privateZoneName", "virtualNetworkLinkName"},
    "azure-native:redis:Redis": _LOCATED | {"name", "subnetId", "staticIP"},
    "azure-native:storage:BlobContainer": _GROUP | {"accountName", "containerName"},
    "azure-native:storage:BlobServiceProperties": _GROUP | {"accountName", "blobServicesName"},
    "azure-native:storage:ManagementPolicy": _GROUP | {"accountName", "managementPolicyName"},
    "azure-native:storage:StorageAccount": _LOCATED | {"accountName", "isHnsEnabled"},
}  # fmt: skip


def replaced_by(type_token: str) -> frozenset[str] | None:
    """Return the inputs whose change replaces a resource of this type; None where that is not known."""
    return REPLACED_BY.get(type_token)


def loses(type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return what those who read data would lose by a change: of columns the plugin's own type says it."""
    return None


def lost_columns(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return which columns of a feature set would go, or become something else."""
    old, new = (_columns(inputs) for inputs in (before, after))
    lost = sorted(column for column, kind in old.items() if new.get(column) != kind)
    return f"{after.get('featureSet')} would lose {', '.join(lost)}" if lost else None


def _columns(inputs: Mapping[str, Any]) -> dict[str, str]:
    content = inputs.get("content") or {}
    return {item["name"]: item["type"] for key in ("features", "index_columns") for item in content.get(key, ())}

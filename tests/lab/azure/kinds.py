"""Types of pulumi-azure-native: where each is at Azure Resource Manager.

Names in braces are inputs; they are the id, and what is left of the inputs is the body. Paths: the REST reference,
https://learn.microsoft.com/rest/api/azure/; an id has no other form for the provider's `pulumi import`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

ML = "machinelearningservices"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{resourceGroupName}/providers"
_WORKSPACE = f"{_GROUP}/Microsoft.MachineLearningServices/workspaces/{{workspaceName}}"
_ACCOUNT = f"{_GROUP}/Microsoft.Storage/storageAccounts/{{accountName}}"
_NETWORK, _INSIGHTS = f"{_GROUP}/Microsoft.Network", f"{_GROUP}/Microsoft.Insights"
_ZONES = f"{_NETWORK}/privateDnsZones/{{privateZoneName}}"
_BRACES = re.compile(r"\{(\w+)\}")
PATHS = {
    "applicationinsights:Component": f"{_INSIGHTS}/components/{{resourceName}}",
    "authorization:RoleAssignment": "{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}",
    "authorization:RoleDefinition": "{scope}/providers/Microsoft.Authorization/roleDefinitions/{roleDefinitionId}",
    "consumption:Budget": "{scope}/providers/Microsoft.Consumption/budgets/{budgetName}",
    "containerregistry:Registry": f"{_GROUP}/Microsoft.ContainerRegistry/registries/{{registryName}}",
    "keyvault:Key": f"{_GROUP}/Microsoft.KeyVault/vaults/{{vaultName}}/keys/{{keyName}}",
    "keyvault:Vault": f"{_GROUP}/Microsoft.KeyVault/vaults/{{vaultName}}",
    f"{ML}:Compute": f"{_WORKSPACE}/computes/{{computeName}}",
    f"{ML}:Datastore": f"{_WORKSPACE}/datastores/{{name}}",
    f"{ML}:EnvironmentVersion": f"{_WORKSPACE}/environments/{{name}}/versions/{{version}}",
    f"{ML}:FeaturesetContainerEntity": f"{_WORKSPACE}/featuresets/{{name}}",
    f"{ML}:FeaturesetVersion": f"{_WORKSPACE}/featuresets/{{name}}/versions/{{version}}",
    f"{ML}:FeaturestoreEntityContainerEntity": f"{_WORKSPACE}/featurestoreEntities/{{name}}",
    f"{ML}:FeaturestoreEntityVersion": f"{_WORKSPACE}/featurestoreEntities/{{name}}/versions/{{version}}",
    f"{ML}:ModelContainer": f"{_WORKSPACE}/models/{{name}}",
    f"{ML}:ModelVersion": f"{_WORKSPACE}/models/{{name}}/versions/{{version}}",
    f"{ML}:OnlineDeployment": f"{_WORKSPACE}/onlineEndpoints/{{endpointName}}/deployments/{{deploymentName}}",
    f"{ML}:Schedule": f"{_WORKSPACE}/schedules/{{name}}",
    f"{ML}:Workspace": _WORKSPACE,
    f"{ML}:WorkspaceConnection": f"{_WORKSPACE}/connections/{{connectionName}}",
    "managedidentity:FederatedIdentityCredential": (
        f"{_GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/{{resourceName}}"
        "/federatedIdentityCredentials/{federatedIdentityCredentialResourceName}"
    ),
    "managedidentity:UserAssignedIdentity": (
        f"{_GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/{{resourceName}}"
    ),
    "monitor:ActionGroup": f"{_INSIGHTS}/actionGroups/{{actionGroupName}}",
    "monitor:AutoscaleSetting": f"{_INSIGHTS}/autoscaleSettings/{{autoscaleSettingName}}",
    "monitor:DiagnosticSetting": "{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}",
    "monitor:MetricAlert": f"{_INSIGHTS}/metricAlerts/{{ruleName}}",
    "monitor:ScheduledQueryRule": f"{_INSIGHTS}/scheduledQueryRules/{{ruleName}}",
    "network:PrivateDnsZoneGroup": (
        f"{_NETWORK}/privateEndpoints/{{privateEndpointName}}/privateDnsZoneGroups/{{privateDnsZoneGroupName}}"
    ),
    "network:PrivateEndpoint": f"{_NETWORK}/privateEndpoints/{{privateEndpointName}}",
    "network:VirtualNetwork": f"{_NETWORK}/virtualNetworks/{{virtualNetworkName}}",
    "operationalinsights:Workspace": f"{_GROUP}/Microsoft.OperationalInsights/workspaces/{{workspaceName}}",
    "portal:Dashboard": f"{_GROUP}/Microsoft.Portal/dashboards/{{dashboardName}}",
    "privatedns:PrivateZone": _ZONES,
    "privatedns:VirtualNetworkLink": f"{_ZONES}/virtualNetworkLinks/{{virtualNetworkLinkName}}",
    "redis:Redis": f"{_GROUP}/Microsoft.Cache/redis/{{name}}",
    "resources:ResourceGroup": "/subscriptions/{subscription}/resourceGroups/{resourceGroupName}",
    "storage:BlobContainer": f"{_ACCOUNT}/blobServices/default/containers/{{containerName}}",
    "storage:BlobServiceProperties": f"{_ACCOUNT}/blobServices/{{blobServicesName}}",
    "storage:ManagementPolicy": f"{_ACCOUNT}/managementPolicies/{{managementPolicyName}}",
    "storage:StorageAccount": _ACCOUNT,
}
OUTSIDE = frozenset({"location", "tags", "sku", "kind", "identity", "zones"})
"""What is beside `properties` in a body. (Of some kinds `sku` is inside; the lab keeps it outside for all.)"""
NEVER_CHANGED = {
    "authorization:RoleAssignment": frozenset({"principalId", "roleDefinitionId", "principalType", "condition"}),
    "redis:Redis": frozenset({"subnetId", "staticIP"}),
    "storage:StorageAccount": frozenset({"isHnsEnabled"}),
    f"{ML}:Compute": frozenset({"identity"}),
}
"""Inputs beside those of the id and the location that the provider replaces a resource for."""
KEPT_WHEN_DELETED = frozenset({"keyvault:Key", "storage:BlobServiceProperties"})
"""What has no DELETE in the API: it goes with what it is in. The provider leaves it as it is.

https://learn.microsoft.com/rest/api/keyvault/keyvault/keys, https://learn.microsoft.com/rest/api/storagerp/blob-services
"""


@dataclass(frozen=True)
class Kind:
    """A type: its short token, its path, and which inputs are the id."""

    token: str
    path: str
    names: frozenset[str] = field(default_factory=frozenset)

    @property
    def replacing(self) -> frozenset[str]:
        """The inputs whose change replaces a resource."""
        return self.names | {"location"} | NEVER_CHANGED.get(self.token, frozenset())


def kind_of(token: str) -> Kind | None:
    """Return a type by its token, `azure-native:storage:StorageAccount`."""
    short = token.removeprefix("azure-native:")
    path = PATHS.get(short)
    if path is None:
        return None
    return Kind(short, path, frozenset(_BRACES.findall(path)) - {"subscription"})

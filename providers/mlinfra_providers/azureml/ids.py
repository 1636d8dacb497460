"""Ids of Azure Resource Manager: a path of names, known before anything is made.

azure-native refuses to make what is there already (https://github.com/pulumi/pulumi-azure-native/issues/2133); so what
a killed run was creating is taken over by its id. Paths: https://learn.microsoft.com/rest/api/azure/.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from mlinfra.environment import Environment

_PACKAGE = "azure-native:"
_ML = f"{_PACKAGE}machinelearningservices"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{resourceGroupName}"
_IN = f"{_GROUP}/providers"
_WORKSPACE = f"{_IN}/Microsoft.MachineLearningServices/workspaces/{{workspaceName}}"
_ACCOUNT = f"{_IN}/Microsoft.Storage/storageAccounts/{{accountName}}"
_VAULT = f"{_IN}/Microsoft.KeyVault/vaults/{{vaultName}}"
_IDENTITY = f"{_IN}/Microsoft.ManagedIdentity/userAssignedIdentities/{{resourceName}}"
_NETWORK, _INSIGHTS = f"{_IN}/Microsoft.Network", f"{_IN}/Microsoft.Insights"
_ENDPOINT, _ZONE = (
    f"{_NETWORK}/privateEndpoints/{{privateEndpointName}}",
    f"{_NETWORK}/privateDnsZones/{{privateZoneName}}",
)
PATHS: Mapping[str, str] = {
    "azure-native:applicationinsights:Component": f"{_INSIGHTS}/components/{{resourceName}}",
    "azure-native:authorization:RoleAssignment": (
        "{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"
    ),
    "azure-native:authorization:RoleDefinition": (
        "{scope}/providers/Microsoft.Authorization/roleDefinitions/{roleDefinitionId}"
    ),
    "azure-native:consumption:Budget": "{scope}/providers/Microsoft.Consumption/budgets/{budgetName}",
    "azure-native:containerregistry:Registry": f"{_IN}/Microsoft.ContainerRegistry/registries/{{registryName}}",
    "azure-native:keyvault:Key": f"{_VAULT}/keys/{{keyName}}",
    "azure-native:keyvault:Vault": _VAULT,
    f"{_ML}:Compute": f"{_WORKSPACE}/computes/{{computeName}}",
    f"{_ML}:Datastore": f"{_WORKSPACE}/datastores/{{name}}",
    f"{_ML}:EnvironmentVersion": f"{_WORKSPACE}/environments/{{name}}/versions/{{version}}",
    f"{_ML}:FeaturesetContainerEntity": f"{_WORKSPACE}/featuresets/{{name}}",
    f"{_ML}:FeaturestoreEntityContainerEntity": f"{_WORKSPACE}/featurestoreEntities/{{name}}",
    f"{_ML}:FeaturestoreEntityVersion": f"{_WORKSPACE}/featurestoreEntities/{{name}}/versions/{{version}}",
    f"{_ML}:ModelContainer": f"{_WORKSPACE}/models/{{name}}",
    f"{_ML}:ModelVersion": f"{_WORKSPACE}/models/{{name}}/versions/{{version}}",
    f"{_ML}:OnlineDeployment": f"{_WORKSPACE}/onlineEndpoints/{{endpointName}}/deployments/{{deploymentName}}",
    f"{_ML}:Schedule": f"{_WORKSPACE}/schedules/{{name}}",
    f"{_ML}:Workspace": _WORKSPACE,
    f"{_ML}:WorkspaceConnection": f"{_WORKSPACE}/connections/{{connectionName}}",
    "azure-native:managedidentity:FederatedIdentityCredential": (
        f"{_IDENTITY}/federatedIdentityCredentials/{{federatedIdentityCredentialResourceName}}"
    ),
    "azure-native:managedidentity:UserAssignedIdentity": _IDENTITY,
    "azure-native:monitor:ActionGroup": f"{_INSIGHTS}/actionGroups/{{actionGroupName}}",
    "azure-native:monitor:AutoscaleSetting": f"{_INSIGHTS}/autoscaleSettings/{{autoscaleSettingName}}",
    "azure-native:monitor:DiagnosticSetting": ("{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}"),
    "azure-native:monitor:MetricAlert": f"{_INSIGHTS}/metricAlerts/{{ruleName}}",
    "azure-native:monitor:ScheduledQueryRule": f"{_INSIGHTS}/scheduledQueryRules/{{ruleName}}",
    "azure-native:network:PrivateDnsZoneGroup": f"{_ENDPOINT}/privateDnsZoneGroups/{{privateDnsZoneGroupName}}",
    "azure-native:network:PrivateEndpoint": _ENDPOINT,
    "azure-native:network:VirtualNetwork": f"{_NETWORK}/virtualNetworks/{{virtualNetworkName}}",
    "azure-native:operationalinsights:Workspace": f"{_IN}/Microsoft.OperationalInsights/workspaces/{{workspaceName}}",
    "azure-native:portal:Dashboard": f"{_IN}/Microsoft.Portal/dashboards/{{dashboardName}}",
    "azure-native:privatedns:PrivateZone": _ZONE,
    "azure-native:privatedns:VirtualNetworkLink": f"{_ZONE}/virtualNetworkLinks/{{virtualNetworkLinkName}}",
    "azure-native:redis:Redis": f"{_IN}/Microsoft.Cache/redis/{{name}}",
    "azure-native:resources:ResourceGroup": _GROUP,
    "azure-native:storage:BlobContainer": f"{_ACCOUNT}/blobServices/default/containers/{{containerName}}",
    "azure-native:storage:BlobServiceProperties": f"{_ACCOUNT}/blobServices/{{blobServicesName}}",
    "azure-native:storage:ManagementPolicy": f"{_ACCOUNT}/managementPolicies/{{managementPolicyName}}",
    "azure-native:storage:StorageAccount": _ACCOUNT,
}


def id_of(environment: Environment, type_token: str, inputs: Mapping[str, Any]) -> str | None:
    """Return the id that a resource has when it is made; None of what is not azure-native's, or of no known name."""
    path = PATHS.get(type_token)
    if path is None:
        return None
    names = {"subscription": environment.account, **inputs}
    wanted = [field for _, field, _, _ in string.Formatter().parse(path) if field]
    if not all(isinstance(names.get(field), str) and names[field] for field in wanted):
        return None
    return "/" + path.format(**{field: names[field].strip("/") for field in wanted}).lstrip("/")

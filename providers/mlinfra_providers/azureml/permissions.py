"""What the identity that runs `mlinfra up` needs in its resource group: `bootstrap` grants it, `doctor` asks for it.

Operations: https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations. Backfills:
https://learn.microsoft.com/azure/machine-learning/how-to-setup-access-control-feature-store, and the name that Azure
Resource Manager makes of the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlinfra.environment import Environment

_ALL = "read write delete"
_ML = "Microsoft.MachineLearningServices/workspaces"


def needed(environment: Environment) -> Mapping[str, Sequence[str]]:
    """Return the actions in the resource group, by what they are for."""
    made: dict[str, Sequence[str]] = {
        "workspace": (*_of(_ML, _ALL), *_of(f"{_ML}/datastores", _ALL), *_of(f"{_ML}/connections", _ALL)),
        "endpoints": (*_of(f"{_ML}/onlineEndpoints", _ALL), *_of(f"{_ML}/onlineEndpoints/deployments", _ALL),
                      f"{_ML}/onlineEndpoints/deployments/getLogs/action", f"{_ML}/onlineEndpoints/score/action"),
        "models": (*_of(f"{_ML}/models", _ALL), *_of(f"{_ML}/models/versions", _ALL),
                   *_of(f"{_ML}/environments", "read write"), *_of(f"{_ML}/environments/versions", "read write")),
        "training": (*_of(f"{_ML}/computes", _ALL), *_of(f"{_ML}/jobs", _ALL), f"{_ML}/jobs/cancel/action"),
        "features": (*_of(f"{_ML}/featuresets", f"{_ALL} action"), *_of(f"{_ML}/featuresets/versions", _ALL),
                     f"{_ML}/featuresets/versions/backfill/action",
                     *_of(f"{_ML}/featurestoreentities", _ALL), *_of(f"{_ML}/featurestoreentities/versions", _ALL),
                     *_of("Microsoft.Cache/redis", _ALL)),
        "drift": _of(f"{_ML}/schedules", _ALL),
        "identities of the parts": (
            *_of("Microsoft.ManagedIdentity/userAssignedIdentities", _ALL),
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            *_of("Microsoft.Authorization/roleAssignments", _ALL)),
        "data": (*_of("Microsoft.Storage/storageAccounts", _ALL),
                 *_of("Microsoft.Storage/storageAccounts/blobServices", "read write"),
                 *_of("Microsoft.Storage/storageAccounts/blobServices/containers", _ALL),
                 *_of("Microsoft.Storage/storageAccounts/managementPolicies", "read write")),
        "alarms": (*_of("Microsoft.Insights/components", _ALL), *_of("Microsoft.Insights/metricAlerts", _ALL),
                   *_of("Microsoft.Insights/actionGroups", _ALL), *_of("Microsoft.Insights/autoscaleSettings", _ALL),
                   *_of("Microsoft.Insights/scheduledQueryRules", _ALL), "Microsoft.Insights/metrics/read",
                   *_of("Microsoft.Insights/diagnosticSettings", _ALL), *_of("Microsoft.Portal/dashboards", _ALL)),
        "logs": (*_of("Microsoft.OperationalInsights/workspaces", _ALL),
                 "Microsoft.OperationalInsights/workspaces/query/read"),
        "vault": (*_of("Microsoft.KeyVault/vaults", _ALL), *_of("Microsoft.KeyVault/vaults/keys", "read write")),
        "network": (*_of("Microsoft.Network/privateEndpoints", _ALL), *_of("Microsoft.Network/virtualNetworks", _ALL),
                    *_of("Microsoft.Network/privateDnsZones", _ALL), "Microsoft.Network/virtualNetworks/subnets/read",
                    "Microsoft.Network/virtualNetworks/subnets/join/action"),
    }  # fmt: skip
    if environment.budget is not None:
        made["budget"] = _of("Microsoft.Consumption/budgets", _ALL)
    return made


def _of(what: str, verbs: str) -> list[str]:
    return [f"{what}/{verb}" for verb in verbs.split()]

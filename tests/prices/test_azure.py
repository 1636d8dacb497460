"""Azure: amounts computed by hand from the list prices that are shipped."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from mlinfra.prices.estimate import Estimate
from mlinfra.resources import UNKNOWN, Resource

Price = Callable[..., Estimate]
Make = Callable[..., Resource]
ML = "azure-native:machinelearningservices"
DEPLOYMENT = f"{ML}:OnlineDeployment"
AUTOSCALE = "azure-native:monitor:AutoscaleSetting"
SCOPE = "/subscriptions/1/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/ml"


def deployment(**more: Any) -> dict[str, Any]:
    properties = {"endpointComputeType": "Managed", "instanceType": "Standard_DS3_v2"}
    named = {"endpointName": "churn", "deploymentName": "blue", "location": "East US"}
    return {**named, "properties": properties, "sku": {"name": "Default", "capacity": 3}, **more}


def autoscale(low: Any, high: Any, target: str = f"{SCOPE}/onlineEndpoints/churn/deployments/blue") -> dict[str, Any]:
    capacity = {"minimum": low, "maximum": high, "default": low}
    return {"targetResourceUri": target, "enabled": True, "profiles": [{"name": "all day", "capacity": capacity}]}


@pytest.mark.parametrize("token", [DEPLOYMENT, f"{ML}/v20240401:OnlineDeployment"])
@pytest.mark.parametrize("name", ["properties", "onlineDeploymentProperties"])
def test_a_deployment_costs_its_instances(token: str, name: str, make: Make, price: Price) -> None:
    inputs = deployment()
    inputs[name] = inputs.pop("properties")
    found = price(make(token, inputs))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 641.67, "likely": 641.67, "high": 641.67}  # 0.293 x 3 x 730
    assert found.idle == Decimal("641.67")


GROUP = "azure-native:resources:ResourceGroup"


@pytest.mark.parametrize(
    ("inputs", "sources"),
    [
        ({"location": UNKNOWN}, ["location"]),
        ({"location": UNKNOWN, "resourceGroupName": UNKNOWN}, ["location", "resourceGroupName"]),
        ({"location": UNKNOWN, "resourceGroupName": UNKNOWN}, ["resourceGroupName"]),
        ({"resourceGroupName": UNKNOWN}, ["resourceGroupName"]),
        ({"resourceGroupName": "ml"}, []),
    ],
)
def test_a_resource_is_where_its_group_is(inputs: Any, sources: list[str], make: Make, price: Price) -> None:
    others = [make(GROUP, {"resourceGroupName": "other", "location": "eastus"}, "other"), make(GROUP, {}, "third")]
    group = make(f"{GROUP[:13]}resources/v20240301:ResourceGroup", {"resourceGroupName": "ml", "location": "West US 2"})
    blue = {**deployment(), **inputs}
    if "location" not in inputs:
        del blue["location"]
    found = price(make(DEPLOYMENT, blue, "blue", {name: [group.urn] for name in sources}), group, *others)
    assert [(item.price.region, item.assumed) for item in found.items] == [("westus2", "")]


@pytest.mark.parametrize("source", ["azure-native:storage:StorageAccount", GROUP])
def test_a_place_that_is_not_known_is_not_guessed(source: str, make: Make, price: Price) -> None:
    elsewhere = make(source, {"location": UNKNOWN, "resourceGroupName": "ml"}, "elsewhere")
    group = make(GROUP, {"resourceGroupName": "ml", "location": "westus2"}, "group")
    inputs = {**deployment(location=UNKNOWN), "resourceGroupName": "ml"}
    found = price(make(DEPLOYMENT, inputs, "blue", {"location": [elsewhere.urn]}), group)
    assert [gap.reason for gap in found.unpriced] == ["the region is known only after an up (location)"]
    found = price(make(DEPLOYMENT, inputs, "blue", {"location": [elsewhere.urn]}), elsewhere)
    assert "the region is known only after an up (location)" in [gap.reason for gap in found.unpriced]


def test_an_endpoint_without_a_deployment_costs_nothing(make: Make, price: Price) -> None:
    found = price(make(f"{ML}:OnlineEndpoint", {"endpointName": "churn", "location": "eastus"}))
    assert not found.items
    assert not found.unpriced
    assert found.free[0][1].reason == "an endpoint costs nothing; its deployments do"


@pytest.mark.parametrize("token", [AUTOSCALE, "azure-native:insights/v20221001:AutoscaleSetting"])
@pytest.mark.parametrize("by_dependency", [True, False])
def test_autoscaling_replaces_the_capacity(token: str, by_dependency: bool, make: Make, price: Price) -> None:
    blue = make(DEPLOYMENT, deployment(), "blue")
    inputs = autoscale("2", "5", UNKNOWN) if by_dependency else autoscale("2", "5")
    sources = {"targetResourceUri": [blue.urn]} if by_dependency else {}
    found = price(blue, make(token, inputs, "scale", sources))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 427.78, "likely": 427.78, "high": 1069.45}
    assert [resource.name for resource, _ in found.free] == ["scale"]


def test_the_bounds_are_those_of_all_profiles(make: Make, price: Price) -> None:
    inputs = autoscale("2", "3")
    night = {"name": "night", "capacity": {"minimum": "1", "maximum": "1"}, "recurrence": {"frequency": "Week"}}
    inputs["profiles"].append(night)
    found = price(make(DEPLOYMENT, deployment(), "blue"), make(AUTOSCALE, inputs, "scale"))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 213.89, "likely": 213.89, "high": 641.67}


@pytest.mark.parametrize(
    "inputs",
    [
        {**autoscale("5", "9"), "enabled": False},
        autoscale("5", "9", f"{SCOPE}/onlineEndpoints/churn/deployments/green"),
        autoscale("5", "9", UNKNOWN),
    ],
    ids=["switched off", "another deployment", "another resource"],
)
def test_settings_of_others_do_not_count(inputs: dict[str, Any], make: Make, price: Price) -> None:
    found = price(make(DEPLOYMENT, deployment(), "blue"), make(AUTOSCALE, inputs, "scale"))
    assert found.monthly is not None
    assert found.monthly.likely == Decimal("641.67")


def test_a_deployment_on_an_attached_cluster_is_paid_there(make: Make, price: Price) -> None:
    found = price(make(DEPLOYMENT, deployment(properties={"endpointComputeType": "Kubernetes"})))
    assert found.free
    assert not found.items
    assert not found.unpriced


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (deployment(properties={"endpointComputeType": "Managed"}), "instanceType is absent"),
        (deployment(properties={"instanceType": UNKNOWN}), "instanceType is known only after an up"),
        (deployment(properties={"instanceType": "Standard_X1"}), "no such price"),
        (deployment(sku={"capacity": UNKNOWN}), "sku.capacity is known only after an up"),
        (deployment(location=UNKNOWN), "the region is known only after an up (location)"),
    ],
)
def test_what_is_not_known_is_unpriced(inputs: dict[str, Any], reason: str, make: Make, price: Price) -> None:
    found = price(make(DEPLOYMENT, inputs))
    assert found.monthly is None
    assert [reason in item.reason for item in found.unpriced] == [True]


def cluster(**more: Any) -> dict[str, Any]:
    inner = {"vmSize": "STANDARD_DS3_V2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 4}, **more}
    return {"location": "eastus", "properties": {"computeType": "AmlCompute", "properties": inner}}


def test_a_cluster_costs_nothing_idle_when_it_scales_to_zero(make: Make, price: Price) -> None:
    found = price(make(f"{ML}:Compute", cluster(vmSize="Standard_DS3_v2", vmPriority="LowPriority")))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 0.0, "likely": 0.0, "high": 170.82}  # 0.0585 x 4 x 730
    assert found.idle == 0


def test_a_size_is_found_in_any_case(make: Make, price: Price) -> None:
    found = price(make(f"{ML}:Compute", cluster()))
    assert found.monthly is not None
    assert found.monthly.high == Decimal("855.56")


def test_a_compute_instance_costs_its_hours_and_its_disk(make: Make, price: Price) -> None:
    inner = {"vmSize": "Standard_D4s_v3"}
    inputs = {"location": "eastus", "properties": {"computeType": "ComputeInstance", "properties": inner}}
    found = price(make(f"{ML}:Compute", inputs), usage={"main": {"hours": 160}})
    assert [item.dollars.likely for item in found.items] == [Decimal("30.72"), Decimal("19.71")]  # 0.192 x 160


def test_a_serverless_job_costs_a_run_once_and_its_runs_a_month(make: Make, price: Price) -> None:
    resources = {"instanceType": "Standard_F4s_v2", "instanceCount": 2}
    inputs = {"location": "eastus", "jobBaseProperties": {"resources": resources, "limits": {"timeout": "PT2H30M"}}}
    found = price(make(f"{ML}:Job", inputs))
    assert found.one_off is not None
    assert found.one_off.likely == Decimal("0.85")
    assert found.idle == 0
    again = price(make(f"{ML}:Job", inputs), usage={"main": {"run_hours": 1, "runs": 30}})
    assert again.one_off is not None
    assert again.one_off.likely == Decimal("0.34")
    assert again.monthly is not None
    assert again.monthly.likely == Decimal("10.14")


def test_a_job_on_a_compute_is_paid_there(make: Make, price: Price) -> None:
    found = price(make(f"{ML}:Job", {"properties": {"computeId": UNKNOWN}}))
    assert found.free
    assert not found.unpriced


def test_a_job_of_unknown_length_is_unpriced(make: Make, price: Price) -> None:
    inputs = {"location": "eastus", "properties": {"resources": {"instanceType": "Standard_F4s_v2"}}}
    [missing] = price(make(f"{ML}:Job", inputs)).unpriced
    assert missing.reason == "nothing says how long it takes; state usage.main.run_hours"


@pytest.mark.parametrize(
    ("token", "inputs", "usage", "monthly"),
    [
        ("storage:StorageAccount", {"sku": {"name": "Standard_LRS"}}, {"storage_gb": 100}, "2.08"),
        ("containerregistry:Registry", {"sku": {"name": "Basic"}}, {}, "5.07"),  # 0.1666 x 730 / 24
        ("keyvault:Vault", {"properties": {"sku": {"name": "standard"}}}, {"requests": 1000000}, "3.00"),
        ("cache:Redis", {"sku": {"name": "Premium", "family": "P", "capacity": 1}, "shardCount": 2}, {}, "810.30"),
        ("redis:Redis", {"sku": {"name": "Basic", "family": "C", "capacity": 1}}, {}, "40.15"),
    ],
)
def test_what_a_workspace_names(
    token: str, inputs: dict[str, Any], usage: dict[str, float], monthly: str, make: Make, price: Price
) -> None:
    resource = make(f"azure-native:{token}", {"location": "eastus", **inputs})
    found = price(resource, usage={"main": usage})
    assert [item.dollars.likely for item in found.items] == [Decimal(monthly)]


def test_a_cluster_costs_its_control_plane_and_its_pools(make: Make, price: Price) -> None:
    pools = [{"name": "small", "vmSize": "Standard_D4s_v3", "count": 3}, {"name": "odd", "vmSize": UNKNOWN}]
    inputs = {"location": "eastus", "sku": {"tier": "Standard"}, "agentPoolProfiles": pools}
    found = price(make("azure-native:containerservice:ManagedCluster", inputs))
    assert [item.dollars.likely for item in found.items] == [Decimal("73.00"), Decimal("420.48")]
    assert found.items[1].name.startswith("pool small")
    assert [item.item for item in found.unpriced] == ["pool odd"]


@pytest.mark.parametrize(
    ("token", "inputs", "free"),
    [
        ("machinelearningservices:Schedule", {"scheduleProperties": {"isEnabled": False}}, True),
        ("machinelearningservices:Schedule", {"properties": {"action": {"jobDefinition": {"computeId": "c"}}}}, True),
        ("machinelearningservices:Schedule", {"scheduleProperties": {"action": {"jobDefinition": {}}}}, False),
        ("machinelearningservices:Registry", {}, False),
        ("monitor:DiagnosticSetting", {"workspaceId": UNKNOWN}, True),
        ("monitor:DiagnosticSetting", {"workspaceId": UNKNOWN, "storageAccountId": "logs"}, False),
        ("insights:DiagnosticSetting", {"eventHubAuthorizationRuleId": UNKNOWN}, False),
    ],
)
def test_what_is_billed_elsewhere(token: str, inputs: dict[str, Any], free: bool, make: Make, price: Price) -> None:
    found = price(make(f"azure-native:{token}", inputs))
    assert (len(found.free), len(found.unpriced)) == ((1, 0) if free else (0, 1))
    assert not found.items

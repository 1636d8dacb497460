"""Kubernetes: pods by the nodes that they select, or by requests and the cluster's own prices."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from mlinfra.policy.values import Value
from mlinfra.prices.book import Key
from mlinfra.prices.book import Price as Line
from mlinfra.prices.estimate import Estimate
from mlinfra.prices.registry import NotKnown
from mlinfra.prices.types.kubernetes_nodes import quantity
from mlinfra.resources import UNKNOWN, Resource

Price = Callable[..., Estimate]
Make = Callable[..., Resource]
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
HPA = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
TYPE = "node.kubernetes.io/instance-type"


def deployment(replicas: Any = 2, **spec: Any) -> dict[str, Any]:
    named = {"name": "web", "namespace": "ml"}
    return {"metadata": named, "spec": {"replicas": replicas, "template": {"spec": {"containers": [{}], **spec}}}}


def scaler(low: Any, high: Any, name: Any = "web", namespace: str = "ml") -> dict[str, Any]:
    target = {"kind": "Deployment", "name": name, "apiVersion": "apps/v1"}
    return {
        "metadata": {"name": "scale", "namespace": namespace},
        "spec": {"scaleTargetRef": target, "minReplicas": low, "maxReplicas": high},
    }


def test_each_replica_is_a_node_of_the_type_that_it_selects(make: Make, price: Price) -> None:
    found = price(make(DEPLOYMENT, deployment(nodeSelector={TYPE: "g5.xlarge"})))
    [item] = found.items
    assert item.dollars.likely == Decimal("1468.76")  # 1.006 x 2 x 730
    assert item.assumed == "a node of its own for each replica; the region, which nothing states: us-east-1"
    assert found.idle == Decimal("1468.76")


@pytest.mark.parametrize(
    ("selector", "monthly"),
    [
        ({TYPE: "Standard_NC4as_T4_v3", "topology.kubernetes.io/region": "westus2"}, "383.98"),  # 0.526
        ({TYPE: "n1-standard-4", "topology.kubernetes.io/zone": "europe-west1-b"}, "152.58"),  # 0.209007
        ({TYPE: "a2-highgpu-1g"}, "2681.57"),  # 3.673385
        ({TYPE: "m5.large", "karpenter.sh/capacity-type": "spot"}, "31.87"),  # 0.04366
        ({"beta.kubernetes.io/instance-type": "m5.large"}, "70.08"),  # 0.096
        ({TYPE: "m5.large", "eks.amazonaws.com/capacityType": "SPOT"}, "31.87"),
        ({TYPE: "m5.large", "karpenter.sh/capacity-type": "on-demand"}, "70.08"),
        ({TYPE: "m5.large", "cloud.google.com/gke-spot": "true"}, "31.87"),
        ({TYPE: "m5.large", "kubernetes.azure.com/scalesetpriority": "spot"}, "31.87"),
    ],
)
def test_nodes_of_every_cloud(selector: dict[str, str], monthly: str, make: Make, price: Price) -> None:
    found = price(make(DEPLOYMENT, deployment(1, nodeSelector=selector)))
    assert [item.dollars.likely for item in found.items] == [Decimal(monthly)]
    assert not found.unpriced


def test_required_affinity_to_one_type_selects_it(make: Make, price: Price) -> None:
    def needs(*types: str, operator: str = "In") -> dict[str, Any]:
        terms = [{"matchExpressions": [{"key": TYPE, "operator": operator, "values": list(types)}]}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        return {"nodeAffinity": required}

    one = price(make(DEPLOYMENT, deployment(1, affinity=needs("m5.large"))))
    assert one.items[0].dollars.likely == Decimal("70.08")
    assert price(make(DEPLOYMENT, deployment(1, affinity=needs("m5.large", operator="NotIn")))).monthly is None
    several = price(make(DEPLOYMENT, deployment(1, affinity=needs("m5.large", "m5.xlarge"))))
    assert several.unpriced[0].reason == "it may run on several instance types: m5.large, m5.xlarge"


def test_an_accelerator_beside_a_machine_is_billed_beside_it(make: Make, price: Price) -> None:
    selector = {TYPE: "n1-standard-4", "cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}
    found = price(make(DEPLOYMENT, deployment(1, nodeSelector=selector)))
    assert [item.item for item in found.unpriced] == ["GCE/GKE node compute nvidia-tesla-t4 in us-central1"]


@pytest.mark.parametrize("by_dependency", [True, False])
def test_an_autoscaler_replaces_the_replicas(by_dependency: bool, make: Make, price: Price) -> None:
    web = make(DEPLOYMENT, deployment(nodeSelector={TYPE: "m5.large"}), "web")
    inputs = scaler(1, 4, UNKNOWN) if by_dependency else scaler(1, 4)
    found = price(web, make(HPA, inputs, "scale", {"spec": [web.urn]} if by_dependency else {}))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 70.08, "likely": 70.08, "high": 280.32}


@pytest.mark.parametrize("version", ["v1", "v2", "v2beta2"])
def test_an_autoscaler_decides_whatever_the_replicas_are(version: str, make: Make, price: Price) -> None:
    web = make(DEPLOYMENT, deployment(UNKNOWN, nodeSelector={TYPE: "m5.large"}), "web")
    token = f"kubernetes:autoscaling/{version}:HorizontalPodAutoscaler"
    found = price(web, make(token, scaler(None, 2), "scale"))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 70.08, "likely": 70.08, "high": 140.16}


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [({}, 0.0, 7008.0), ({"minReplicaCount": 2, "maxReplicaCount": 3}, 140.16, 210.24)],
)
def test_keda_scales_from_zero_to_a_hundred(
    bounds: dict[str, int], low: float, high: float, make: Make, price: Price
) -> None:
    web = make(DEPLOYMENT, deployment(nodeSelector={TYPE: "m5.large"}), "web")
    inputs = {"metadata": {"namespace": "ml"}, "spec": {"scaleTargetRef": {"name": "web"}, **bounds}}
    found = price(web, make("kubernetes:keda.sh/v1alpha1:ScaledObject", inputs, "scale"))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": low, "likely": low, "high": high}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "ReplicaSet"])
def test_a_workload_is_one_pod_where_nothing_is_said(kind: str, make: Make, price: Price) -> None:
    inputs = {"spec": {"template": {"spec": {"nodeSelector": {TYPE: "m5.large"}}}}}
    assert price(make(f"kubernetes:apps/v1:{kind}", inputs)).items[0].dollars.likely == Decimal("70.08")


def test_a_single_pod_and_a_pod_on_each_node(make: Make, price: Price) -> None:
    pod = price(make("kubernetes:core/v1:Pod", {"spec": {"nodeSelector": {TYPE: "m5.large"}}}))
    assert pod.items[0].dollars.likely == Decimal("70.08")
    daemons = price(make("kubernetes:apps/v1:DaemonSet", {"spec": {"template": {"spec": {}}}}))
    assert daemons.free[0][1].reason == "it runs on nodes that are there for other pods"


@pytest.mark.parametrize("name", ["nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb"])
def test_every_accelerator_counts(name: str, make: Make, price: Price, cluster: list[Line]) -> None:
    containers = [{"resources": {"limits": {name: 2}}}]
    found = price(make(DEPLOYMENT, deployment(1, containers=containers)), own=cluster)
    assert [item.dollars.likely for item in found.items] == [Decimal("1752.00")]  # 2 x 1.2 x 730


@pytest.mark.parametrize(
    ("selector", "region"),
    [
        ({TYPE: "m5.large", "topology.kubernetes.io/region": "eu-west-1"}, "eu-west-1"),
        ({TYPE: "m5.large", "topology.kubernetes.io/zone": "eu-west-1b"}, "eu-west-1"),
        ({TYPE: "m5.large", "failure-domain.beta.kubernetes.io/zone": "eu-west-1b"}, "eu-west-1"),
        ({TYPE: "Standard_NC4as_T4_v3", "topology.kubernetes.io/zone": "westus2-1"}, "westus2"),
        ({TYPE: "Standard_NC4as_T4_v3"}, "eastus"),
    ],
)
def test_a_node_is_where_its_labels_say(selector: dict[str, str], region: str, make: Make, price: Price) -> None:
    key = Key("aws", "EC2/EKS node", "compute", "m5.large", "hour")
    lines = [Line(key, "eu-west-1", Decimal("0.107"), None, "2026-11-01", "our own", "own")]
    found = price(make(DEPLOYMENT, deployment(1, nodeSelector=selector)), own=lines)
    assert [item.price.region for item in found.items] == [region]


def test_an_autoscaler_elsewhere_does_not_count(make: Make, price: Price) -> None:
    web = make(DEPLOYMENT, deployment(nodeSelector={TYPE: "m5.large"}), "web")
    of_another_kind = scaler(1, 4)
    of_another_kind["spec"]["scaleTargetRef"]["kind"] = "StatefulSet"
    for inputs in (scaler(1, 4, namespace="other"), scaler(1, 4, "other"), of_another_kind):
        found = price(web, make(HPA, inputs, "scale"))
        assert found.monthly is not None
        assert found.monthly.high == Decimal("140.16")


def test_without_a_type_requests_are_counted_by_the_clusters_own_prices(
    make: Make, price: Price, cluster: list[Line]
) -> None:
    resources = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"nvidia.com/gpu": "1"}}
    web = make(DEPLOYMENT, deployment(2, containers=[{"resources": resources}, {"resources": {"limits": {"cpu": 1}}}]))
    found = price(web, own=cluster)
    # 1.5 vCPU x 0.03, 2 GB x 0.004 and a GPU x 1.2, twice for 730 hours
    assert [item.dollars.likely for item in found.items] == [Decimal("65.70"), Decimal("11.68"), Decimal("1752.00")]
    without = price(web)
    assert without.monthly is None
    assert [item.item for item in without.unpriced] == [
        "cluster requests vCPU in any",
        "cluster requests memory in any",
        "cluster requests GPU in any",
    ]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (deployment(), "it selects no instance type and requests nothing"),
        (deployment(nodeSelector={TYPE: UNKNOWN}), f"nodeSelector['{TYPE}'] is known only after an up"),
        (deployment(nodeSelector={TYPE: "my node"}), "'my node' is no instance type of AWS, Google Cloud or Azure"),
        (deployment(UNKNOWN, nodeSelector={TYPE: "m5.large"}), "spec.replicas is known only after an up"),
        (deployment(containers=[{"resources": {"requests": {"cpu": "much"}}}]), "is no quantity: 'much'"),
    ],
)
def test_what_is_not_known_is_unpriced(inputs: dict[str, Any], reason: str, make: Make, price: Price) -> None:
    found = price(make(DEPLOYMENT, inputs))
    assert found.monthly is None
    assert [reason in item.reason for item in found.unpriced] == [True]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500m", "0.5"),
        (2, "2"),
        ("2", "2"),
        ("1.5", "1.5"),
        ("4Gi", "4294967296"),
        ("1Ki", "1024"),
        ("1k", "1000"),
        ("1G", "1000000000"),
        ("5n", "5e-9"),
        ("1e3", "1000"),
    ],
)
def test_quantities(text: Any, amount: str) -> None:
    assert quantity(Value("requests.cpu", text)) == Decimal(amount)


@pytest.mark.parametrize("text", ["much", "-1", "1 Gi", "1Zi", "ki", "", True])
def test_no_quantities(text: Any) -> None:
    if text == "":
        assert quantity(Value("requests.cpu", text)) == 0
        return
    with pytest.raises(NotKnown, match="is no quantity"):
        quantity(Value("requests.cpu", text))

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
SERVICE = "kubernetes:serving.kserve.io/v1beta1:InferenceService"
HPA = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
TYPE = "node.kubernetes.io/instance-type"


def own(component: str, item: str, unit: str, usd: str) -> Line:
    key = Key("kubernetes", "cluster", component, item, unit)
    return Line(key, "any", Decimal(usd), None, "2026-11-01", "our own", "own")


OWN = [
    own("requests", "vCPU", "vCPU-hour", "0.03"),
    own("requests", "memory", "GB-hour", "0.004"),
    own("requests", "GPU", "GPU-hour", "1.2"),
    own("load-balancer", "Service of type LoadBalancer", "hour", "0.02"),
    own("storage", "fast", "GB-month", "0.1"),
]


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
    ],
)
def test_nodes_of_every_cloud(selector: dict[str, str], monthly: str, make: Make, price: Price) -> None:
    found = price(make(DEPLOYMENT, deployment(1, nodeSelector=selector)))
    assert [item.dollars.likely for item in found.items] == [Decimal(monthly)]
    assert not found.unpriced


def test_required_affinity_to_one_type_selects_it(make: Make, price: Price) -> None:
    def needs(*types: str) -> dict[str, Any]:
        terms = [{"matchExpressions": [{"key": TYPE, "operator": "In", "values": list(types)}]}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        return {"nodeAffinity": required}

    one = price(make(DEPLOYMENT, deployment(1, affinity=needs("m5.large"))))
    assert one.items[0].dollars.likely == Decimal("70.08")
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


def test_an_autoscaler_elsewhere_does_not_count(make: Make, price: Price) -> None:
    web = make(DEPLOYMENT, deployment(nodeSelector={TYPE: "m5.large"}), "web")
    for inputs in (scaler(1, 4, namespace="other"), scaler(1, 4, "other")):
        found = price(web, make(HPA, inputs, "scale"))
        assert found.monthly is not None
        assert found.monthly.high == Decimal("140.16")


def test_without_a_type_requests_are_counted_by_the_clusters_own_prices(make: Make, price: Price) -> None:
    resources = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"nvidia.com/gpu": "1"}}
    web = make(DEPLOYMENT, deployment(2, containers=[{"resources": resources}, {"resources": {"limits": {"cpu": 1}}}]))
    found = price(web, own=OWN)
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


def inference(**predictor: Any) -> dict[str, Any]:
    return {"metadata": {"name": "churn"}, "spec": {"predictor": {"nodeSelector": {TYPE: "g5.xlarge"}, **predictor}}}


def test_a_service_scales_between_its_bounds(make: Make, price: Price) -> None:
    found = price(make(SERVICE, inference(minReplicas=0, maxReplicas=3)))
    assert found.monthly is not None
    assert not found.unpriced
    assert found.monthly.to_json() == {"low": 0.0, "likely": 0.0, "high": 2203.14}  # 1.006 x 3 x 730
    assert found.idle == 0


def test_a_service_without_a_maximum_has_no_upper_bound(make: Make, price: Price) -> None:
    found = price(make(SERVICE, inference()))
    assert found.items[0].dollars.likely == Decimal("734.38")
    assert [(item.item, item.reason) for item in found.unpriced] == [
        ("predictor: replicas above 1", "spec.predictor.maxReplicas is absent: there is no upper bound")
    ]


def test_a_model_of_a_service_requests_for_its_runtime(make: Make, price: Price) -> None:
    model = {"modelFormat": {"name": "sklearn"}, "resources": {"requests": {"cpu": "2"}}}
    found = price(make(SERVICE, {"spec": {"predictor": {"model": model, "maxReplicas": 1}}}), own=OWN)
    assert [item.dollars.likely for item in found.items] == [Decimal("43.80")]  # 2 x 0.03 x 730


def test_a_canary_has_pods_of_its_own(make: Make, price: Price) -> None:
    canary = {"trafficPercent": 10, "predictor": {"nodeSelector": {TYPE: "m5.large"}, "maxReplicas": 1}}
    inputs = inference(maxReplicas=1)
    inputs["spec"]["canary"] = [canary]
    found = price(make(SERVICE, inputs))
    assert [(item.name.partition(":")[0], item.dollars.likely) for item in found.items] == [
        ("predictor", Decimal("734.38")),
        ("canary[0].predictor", Decimal("70.08")),
    ]


@pytest.mark.parametrize("spec", [{}, {"predictor": {"maxReplicas": 1}}, UNKNOWN])
def test_a_service_that_says_nothing_is_unpriced(spec: Any, make: Make, price: Price) -> None:
    found = price(make(SERVICE, {"spec": spec}))
    assert found.monthly is None
    assert found.unpriced[0].item.startswith("predictor")


def test_a_large_model_has_pods_to_read_and_to_write(make: Make, price: Price) -> None:
    pods = {"nodeSelector": {TYPE: "g5.xlarge"}}
    spec = {"replicas": 2, "template": pods, "prefill": {"replicas": 1, "template": pods}}
    found = price(make("kubernetes:serving.kserve.io/v1alpha1:LLMInferenceService", {"spec": spec}))
    assert [item.dollars.likely for item in found.items] == [Decimal("1468.76"), Decimal("734.38")]


def test_a_knative_service_scales_from_zero(make: Make, price: Price) -> None:
    annotations = {"autoscaling.knative.dev/min-scale": "0", "autoscaling.knative.dev/max-scale": "2"}
    template = {"metadata": {"annotations": annotations}, "spec": {"nodeSelector": {TYPE: "m5.large"}}}
    found = price(make("kubernetes:serving.knative.dev/v1:Service", {"spec": {"template": template}}))
    assert found.monthly is not None
    assert found.monthly.to_json() == {"low": 0.0, "likely": 0.0, "high": 140.16}
    assert not found.unpriced


def test_a_notebook_costs_its_hours(make: Make, price: Price) -> None:
    template = {"spec": {"nodeSelector": {TYPE: "m5.large"}}}
    notebook = make("kubernetes:kubeflow.org/v1:Notebook", {"spec": {"template": template}})
    assert price(notebook).items[0].dollars.likely == Decimal("70.08")
    assert price(notebook, usage={"main": {"hours": 100}}).items[0].dollars.likely == Decimal("9.60")


def test_a_train_job_costs_its_nodes(make: Make, price: Price) -> None:
    pod = {"nodeSelector": {TYPE: "g5.xlarge"}}
    job = {"template": {"spec": {"template": {"spec": pod}}}}
    patch = {"manager": "us", "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}}}
    trainer = {"numNodes": 4, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 1}}}
    spec = {"trainer": trainer, "activeDeadlineSeconds": 3600}
    token = "kubernetes:trainer.kubeflow.org/v1alpha1:TrainJob"
    selected = price(make(token, {"spec": {**spec, "runtimePatches": [patch]}}))
    assert selected.one_off is not None
    assert selected.one_off.likely == Decimal("4.02")  # 1.006 x 4 nodes x 1 hour
    requested = price(make(token, {"spec": spec}), own=OWN)
    assert requested.one_off is not None
    assert requested.one_off.likely == Decimal("4.80")  # 1.2 x 4 GPUs x 1 hour


def test_a_job_costs_a_run_once(make: Make, price: Price) -> None:
    template = {"spec": {"nodeSelector": {TYPE: "g5.xlarge"}}}
    spec = {"parallelism": 4, "completions": 2, "activeDeadlineSeconds": 7200, "template": template}
    found = price(make("kubernetes:batch/v1:Job", {"spec": spec}))
    assert found.one_off is not None
    assert found.one_off.likely == Decimal("4.02")
    assert found.idle == 0


def test_a_cron_job_costs_the_runs_that_are_stated(make: Make, price: Price) -> None:
    template = {"spec": {"nodeSelector": {TYPE: "g5.xlarge"}}}
    job = make("kubernetes:batch/v1:CronJob", {"spec": {"jobTemplate": {"spec": {"template": template}}}})
    found = price(job, usage={"main": {"runs": 30, "run_hours": 0.5}})
    assert found.monthly is not None
    assert found.monthly.likely == Decimal("15.09")
    assert "state usage.main.run_hours" in price(job).unpriced[0].reason
    assert "state usage.main.runs" in price(job, usage={"main": {"run_hours": 1}}).unpriced[0].reason


def test_volumes_and_load_balancers(make: Make, price: Price) -> None:
    disk = {"metadata": {"name": "disk"}, "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"}}

    def claim(storage_class: str) -> dict[str, Any]:
        requested = {"requests": {"storage": "20Gi"}}
        return {"spec": {"storageClassName": storage_class, "resources": requested}}

    volume = "kubernetes:core/v1:PersistentVolumeClaim"
    found = price(
        make("kubernetes:storage.k8s.io/v1:StorageClass", disk, "disk"),
        make(volume, claim("disk"), "on-disk"),
        make(volume, claim("fast"), "on-fast"),
        make(volume, claim("slow"), "on-slow"),
        make("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}, "open"),
        make("kubernetes:core/v1:Service", {"spec": {}}, "inside"),
        own=OWN,
    )
    assert {item.resource.name: item.dollars.likely for item in found.items} == {
        "on-disk": Decimal("1.60"),
        "on-fast": Decimal("2.00"),
        "open": Decimal("14.60"),
    }
    assert [item.resource.name for item in found.unpriced] == ["on-slow"]
    assert {resource.name for resource, _ in found.free} == {"disk", "inside"}


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500m", "0.5"),
        (2, "2"),
        ("2", "2"),
        ("1.5", "1.5"),
        ("4Gi", "4294967296"),
        ("1G", "1000000000"),
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

"""Kubernetes: services, jobs and other kinds that a controller makes pods of; disks and load balancers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from mlinfra.prices.book import Price as Line
from mlinfra.prices.estimate import Estimate
from mlinfra.resources import UNKNOWN, Resource

Price = Callable[..., Estimate]
Make = Callable[..., Resource]
SERVICE = "kubernetes:serving.kserve.io/v1beta1:InferenceService"
TYPE = "node.kubernetes.io/instance-type"


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


@pytest.mark.parametrize(("least", "monthly"), [(None, "734.38"), (2, "1468.76")])
def test_without_knative_the_minimum_is_the_maximum(least: int | None, monthly: str, make: Make, price: Price) -> None:
    inputs = inference(minReplicas=least)
    inputs["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "RawDeployment"}
    found = price(make(SERVICE, inputs))
    assert not found.unpriced
    assert [(item.dollars.low, item.dollars.high) for item in found.items] == [(Decimal(monthly), Decimal(monthly))]


@pytest.mark.parametrize(
    "name",
    [
        *("model", "sklearn", "xgboost", "lightgbm", "pytorch", "tensorflow", "triton", "onnx", "huggingface"),
        *("pmml", "paddle", "art"),
    ],
)
def test_a_model_of_a_service_requests_for_its_runtime(
    name: str, make: Make, price: Price, cluster: list[Line]
) -> None:
    model = {"resources": {"requests": {"cpu": "2"}}}
    found = price(make(SERVICE, {"spec": {"predictor": {name: model, "maxReplicas": 1}}}), own=cluster)
    assert [item.dollars.likely for item in found.items] == [Decimal("43.80")]  # 2 x 0.03 x 730


def test_workers_of_a_replica_are_not_left_out_silently(make: Make, price: Price) -> None:
    found = price(make(SERVICE, inference(maxReplicas=1, workerSpec={"pipelineParallelSize": 2})))
    assert found.items[0].dollars.likely == Decimal("734.38")
    assert [item.item for item in found.unpriced] == ["predictor: workers"]
    large = {"template": {"nodeSelector": {TYPE: "g5.xlarge"}}, "worker": {"containers": []}}
    found = price(make("kubernetes:serving.kserve.io/v1alpha1:LLMInferenceService", {"spec": large}))
    assert [item.item for item in found.unpriced] == ["decode: workers"]


def test_a_feature_store_is_the_pods_of_its_servers(make: Make, price: Price, cluster: list[Line]) -> None:
    servers = {
        "onlineStore": {"server": {"resources": {"requests": {"cpu": "500m"}}}},
        "registry": {"local": {"server": {"resources": {"requests": {"cpu": "500m"}}}}},
    }
    token = "kubernetes:feast.dev/v1:FeatureStore"
    fixed = price(make(token, {"spec": {"replicas": 2, "services": servers}}), own=cluster)
    assert [item.dollars.likely for item in fixed.items] == [Decimal("43.80")]  # 2 x 0.03 x 730
    scaling = {"scaling": {"autoscaling": {"minReplicas": 1, "maxReplicas": 4}}}
    scaled = price(make(token, {"spec": {"services": {**servers, **scaling}}}), own=cluster)
    assert scaled.monthly is not None
    assert scaled.monthly.to_json() == {"low": 21.9, "likely": 21.9, "high": 87.6}


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
    router = {"scheduler": {"template": {"nodeSelector": {TYPE: "m5.large"}}}}
    spec = {"replicas": 2, "template": pods, "prefill": {"replicas": 1, "template": pods}, "router": router}
    found = price(make("kubernetes:serving.kserve.io/v1alpha1:LLMInferenceService", {"spec": spec}))
    amounts = [item.dollars.likely for item in found.items]
    assert amounts == [Decimal("1468.76"), Decimal("734.38"), Decimal("70.08")]


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


def test_a_train_job_costs_its_nodes(make: Make, price: Price, cluster: list[Line]) -> None:
    pod = {"nodeSelector": {TYPE: "g5.xlarge"}}
    job = {"template": {"spec": {"template": {"spec": pod}}}}
    patch = {"manager": "us", "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}}}
    trainer = {"numNodes": 4, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 1}}}
    spec = {"trainer": trainer, "activeDeadlineSeconds": 3600}
    token = "kubernetes:trainer.kubeflow.org/v1alpha1:TrainJob"
    selected = price(make(token, {"spec": {**spec, "runtimePatches": [patch]}}))
    assert selected.one_off is not None
    assert selected.one_off.likely == Decimal("4.02")  # 1.006 x 4 nodes x 1 hour
    requested = price(make(token, {"spec": spec}), own=cluster)
    assert requested.one_off is not None
    assert requested.one_off.likely == Decimal("4.80")  # 1.2 x 4 GPUs x 1 hour


def test_an_experiment_costs_the_trials_at_a_time(make: Make, price: Price, cluster: list[Line]) -> None:
    pod = {"spec": {"nodeSelector": {TYPE: "g5.xlarge"}}}
    token, usage = "kubernetes:kubeflow.org/v1beta1:Experiment", {"main": {"run_hours": 2}}

    def experiment(kind: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"spec": {"trialTemplate": {"trialSpec": {"kind": kind, "spec": spec}}, **more}}

    found = price(make(token, experiment("Job", {"template": pod}, parallelTrialCount=4)), usage=usage)
    assert found.one_off is not None
    assert found.one_off.likely == Decimal("8.05")  # 1.006 x 4 trials x 2 hours
    trainer = {"numNodes": 2, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 1}}}
    found = price(make(token, experiment("TrainJob", {"trainer": trainer})), usage=usage, own=cluster)
    assert found.one_off is not None
    assert found.one_off.likely == Decimal("14.40")  # 1.2 x 2 nodes x 3 trials x 2 hours
    other = price(make(token, experiment("PyTorchJob", {})), usage=usage)
    assert other.unpriced[0].reason.startswith("spec.trialTemplate.trialSpec.kind is 'PyTorchJob'")


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


def test_volumes_and_load_balancers(make: Make, price: Price, cluster: list[Line]) -> None:
    def disk(name: str, provisioner: str, kind: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "provisioner": provisioner, "parameters": {"type": kind}}

    def claim(storage_class: str | None) -> dict[str, Any]:
        requested = {"requests": {"storage": "20Gi"}}
        return {"spec": {"storageClassName": storage_class, "resources": requested}}

    volume = "kubernetes:core/v1:PersistentVolumeClaim"
    found = price(
        make("kubernetes:storage.k8s.io/v1:StorageClass", disk("ebs", "ebs.csi.aws.com", "gp3"), "ebs"),
        make("kubernetes:storage.k8s.io/v1:StorageClass", disk("pd", "pd.csi.storage.gke.io", "pd-ssd"), "pd"),
        make(volume, claim("ebs"), "on-ebs"),
        make(volume, claim("pd"), "on-pd"),
        make(volume, claim("fast"), "on-fast"),
        make(volume, claim("slow"), "on-slow"),
        make(volume, claim(None), "on-the-default"),
        make("kubernetes:core/v1:Service", {"spec": {"type": "LoadBalancer"}}, "open"),
        make("kubernetes:core/v1:Service", {"spec": {}}, "inside"),
        own=cluster,
    )
    assert {item.resource.name: item.dollars.likely for item in found.items} == {
        "on-ebs": Decimal("1.60"),
        "on-pd": Decimal("3.40"),
        "on-fast": Decimal("2.00"),
        "open": Decimal("14.60"),
    }
    assert [item.resource.name for item in found.unpriced] == ["on-slow", "on-the-default"]
    assert {resource.name for resource, _ in found.free} == {"ebs", "pd", "inside"}

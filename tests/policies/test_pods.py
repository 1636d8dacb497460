"""Every pod of every kind of resource is found, under its own path, with what is known of it."""

from __future__ import annotations

from typing import Any

import pytest

from mlinfra.resources import SECRET, UNKNOWN, Resource
from mlinfra_policies.pods import Pod, pods

CONTAINER = {"name": "main", "image": "example.com/app:1", "securityContext": {"privileged": True}}
POD = {"containers": [CONTAINER], "initContainers": [{"name": "fetch"}], "hostNetwork": True}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": POD}
REPLICATED = {"template": {"spec": {"replicatedJobs": [{"template": {"spec": {"template": TEMPLATE}}}]}}}
_REPLICATED_AT = "template.spec.replicatedJobs[0].template.spec.template.spec"
TEMPLATED = "Deployment StatefulSet DaemonSet ReplicaSet Job Notebook Rollout Service"
MODELS = "model huggingface sklearn xgboost lightgbm pmml onnx paddle pytorch tensorflow triton art"
_CANARY_WORKER = "spec.canary[0].predictor.workerSpec"


def manifest(kind: str, inputs: dict[str, Any], api: str = "example.com/v1") -> Resource:
    token = f"kubernetes:{api}:{kind}"
    return Resource(f"urn:pulumi:dev::example::{token}::web", token, "web", {"metadata": {"name": "web"}, **inputs})


def containers(pod: Pod) -> list[str]:
    return [container.path for container in pod.containers()]


@pytest.mark.parametrize(
    ("kind", "inputs", "path"),
    [
        ("Pod", {"spec": POD}, "spec"),
        ("PodTemplate", {"template": TEMPLATE}, "template.spec"),
        *((kind, {"spec": {"template": TEMPLATE}}, "spec.template.spec") for kind in TEMPLATED.split()),
        ("CronJob", {"spec": {"jobTemplate": {"spec": {"template": TEMPLATE}}}}, "spec.jobTemplate.spec.template.spec"),
        *(
            ("InferenceService", {"spec": {name: POD}}, f"spec.{name}")
            for name in ("predictor", "transformer", "explainer")
        ),
        ("InferenceService", {"spec": {"predictor": {"workerSpec": POD}}}, "spec.predictor.workerSpec"),
        ("InferenceService", {"spec": {"canary": [{"predictor": POD}]}}, "spec.canary[0].predictor"),
        ("ServingRuntime", {"spec": POD}, "spec"),
        ("ServingRuntime", {"spec": {"containers": [CONTAINER], "workerSpec": POD}}, "spec.workerSpec"),
        *(
            (kind, {"spec": REPLICATED}, f"spec.{_REPLICATED_AT}")
            for kind in ("TrainingRuntime", "ClusterTrainingRuntime")
        ),
        (
            "TrainJob",
            {"spec": {"runtimePatches": [{"trainingRuntimeSpec": REPLICATED}]}},
            f"spec.runtimePatches[0].trainingRuntimeSpec.{_REPLICATED_AT}",
        ),
        ("TrainJob", {"spec": {"podTemplateOverrides": [{"spec": POD}]}}, "spec.podTemplateOverrides[0].spec"),
        (
            "OptimizationJob",
            {"spec": {"trainJobTemplate": {"spec": {"runtimePatches": [{"trainingRuntimeSpec": REPLICATED}]}}}},
            f"spec.trainJobTemplate.spec.runtimePatches[0].trainingRuntimeSpec.{_REPLICATED_AT}",
        ),
        (
            "Experiment",
            {"spec": {"trialTemplate": {"trialSpec": {"kind": "Job", "spec": {"template": TEMPLATE}}}}},
            "spec.trialTemplate.trialSpec.spec.template.spec",
        ),
        (
            "Experiment",
            {
                "spec": {
                    "trialTemplate": {
                        "trialSpec": {
                            "kind": "PyTorchJob",
                            "spec": {"pytorchReplicaSpecs": {"Worker": {"template": TEMPLATE}}},
                        }
                    }
                }
            },
            "spec.trialTemplate.trialSpec.spec.pytorchReplicaSpecs.Worker.template.spec",
        ),
        *(
            ("LLMInferenceService", {"spec": inputs}, path)
            for inputs, path in (
                ({"template": POD}, "spec.template"),
                ({"worker": POD}, "spec.worker"),
                ({"prefill": {"template": POD}}, "spec.prefill.template"),
                ({"prefill": {"worker": POD}}, "spec.prefill.worker"),
                ({"router": {"scheduler": {"template": POD}}}, "spec.router.scheduler.template"),
                (
                    {"router": {"scheduler": {"tokenizer": {"template": POD}}}},
                    "spec.router.scheduler.tokenizer.template",
                ),
            )
        ),
        ("JobSet", {"spec": REPLICATED["template"]["spec"]}, "spec.replicatedJobs[0].template.spec.template.spec"),
        ("Unheard", {"spec": {"fleet": [{"of": {"ships": POD}}]}}, "spec.fleet[0].of.ships"),
        (
            "RayCluster",
            {"spec": {"workerGroupSpecs": [{"template": TEMPLATE}]}},
            "spec.workerGroupSpecs[0].template.spec",
        ),
    ],
)
def test_a_pod_is_found_in_every_carrier(kind: str, inputs: dict[str, Any], path: str) -> None:
    [pod] = [pod for pod in pods(manifest(kind, inputs)) if pod.path == path]
    assert containers(pod) == [f"{path}.containers[0]", f"{path}.initContainers[0]"]
    assert [container.kind for container in pod.containers()] == ["container", "init"]
    assert pod.at("hostNetwork").value is True
    assert pod.at("hostNetwork").path == f"{path}.hostNetwork"
    assert pod.containers()[0].at("securityContext.privileged").path == (
        f"{path}.containers[0].securityContext.privileged"
    )


@pytest.mark.parametrize(
    ("kind", "inputs", "path"),
    [
        ("Deployment", {"spec": UNKNOWN}, "spec"),
        ("Deployment", {"spec": {"template": UNKNOWN}}, "spec.template"),
        ("Deployment", {"spec": {"template": {"spec": UNKNOWN}}}, "spec.template.spec"),
        ("Deployment", {"spec": {"template": {"spec": SECRET}}}, "spec.template.spec"),
        ("Deployment", {"spec": {"template": {"spec": {"containers": UNKNOWN}}}}, "spec.template.spec.containers"),
        ("Deployment", {"spec": {"template": {"spec": {"containers": [UNKNOWN]}}}}, "spec.template.spec.containers[0]"),
        ("InferenceService", {"spec": {"predictor": UNKNOWN}}, "spec.predictor"),
        ("InferenceService", {"spec": {"predictor": {"model": UNKNOWN}}}, "spec.predictor.model"),
        ("Experiment", {"spec": {"trialTemplate": {"trialSpec": UNKNOWN}}}, "spec.trialTemplate.trialSpec"),
        ("TrainJob", {"spec": {"runtimePatches": UNKNOWN}}, "spec.runtimePatches"),
        ("SparkApplication", {"spec": {"driver": UNKNOWN}}, "spec.driver"),
        ("InferenceService", {"spec": {"canary": [{"predictor": UNKNOWN}]}}, "spec.canary[0].predictor"),
        ("InferenceService", {"spec": {"predictor": {"workerSpec": UNKNOWN}}}, "spec.predictor.workerSpec"),
        ("InferenceService", {"spec": {"canary": [{"predictor": {"workerSpec": UNKNOWN}}]}}, _CANARY_WORKER),
        ("LLMInferenceService", {"spec": {"worker": UNKNOWN}}, "spec.worker"),
        ("LLMInferenceService", {"spec": {"prefill": {"worker": UNKNOWN}}}, "spec.prefill.worker"),
        ("Unheard", {"spec": {"containers": UNKNOWN}}, "spec.containers"),
        ("SparkApplication", {"spec": UNKNOWN}, "spec"),
        *((kind, {"spec": UNKNOWN}, "spec") for kind in ("Notebook", "JobSet", "ClusterServingRuntime")),
        *(("Deployment", {"kind": said, "spec": UNKNOWN}, "spec") for said in (UNKNOWN, "", ["Deployment"])),
        *(("InferenceService", {"spec": {name: UNKNOWN}}, f"spec.{name}") for name in ("transformer", "explainer")),
        *(
            ("InferenceService", {"spec": {"predictor": {it: UNKNOWN}}}, f"spec.predictor.{it}")
            for it in MODELS.split()
        ),
        *(("LLMInferenceService", {"spec": {name: UNKNOWN}}, f"spec.{name}") for name in ("prefill", "router")),
        *(
            ("LLMInferenceService", {"spec": {"router": {"scheduler": inner}}}, f"spec.router.scheduler.{name}")
            for name, inner in (("template", {"template": UNKNOWN}), ("tokenizer", {"tokenizer": UNKNOWN}))
        ),
        ("LLMInferenceServiceConfig", {"spec": {"template": UNKNOWN}}, "spec.template"),
        ("TrainJob", {"spec": {"podTemplateOverrides": UNKNOWN}}, "spec.podTemplateOverrides"),
        ("TrainJob", {"spec": {"initializer": {"dataset": UNKNOWN}}}, "spec.initializer.dataset"),
        ("Pod", {"spec": {"ephemeralContainers": UNKNOWN}}, "spec.ephemeralContainers"),
    ],
)
def test_what_is_not_known_is_one_container_that_is_not_known(kind: str, inputs: dict[str, Any], path: str) -> None:
    found = [container for pod in pods(manifest(kind, inputs)) for container in pod.containers()]
    assert path in [container.path for container in found]
    assert all(container.at("securityContext.privileged").unknown for container in found)


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        ("kubernetes:helm.sh/v3:Release", {"values": {"sidecar": POD}}),
        ("kubernetes:kyverno.io/v1:ClusterPolicy", {"spec": {"rules": [{"validate": {"pattern": {"spec": POD}}}]}}),
        ("kubernetes:core/v1:Service", {"spec": UNKNOWN}),
        ("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", {"spec": POD}),
        ("kubernetes:example.com/v1:Report", {"status": {"last": {"template": TEMPLATE}}}),
        ("kubernetes:core/v1:ConfigMap", {"data": {"containers": "a"}}),
        ("kubernetes:example.com/v1:Report", {"spec": {"containers": ["main"]}}),
        ("aws:ecs/taskDefinition:TaskDefinition", {"spec": POD}),
    ],
)
def test_what_only_looks_like_a_pod_is_none(token: str, inputs: dict[str, Any]) -> None:
    assert pods(Resource("urn:pulumi:dev::example::x::web", token, "web", inputs)) == []


def test_a_model_is_a_container_that_a_serving_runtime_completes() -> None:
    [pod] = pods(manifest("InferenceService", {"spec": {"predictor": {"model": CONTAINER, "sklearn": {}, **POD}}}))
    model, sklearn, main, init = pod.containers()
    assert (model.path, model.kind, model.partial, model.in_full) == ("spec.predictor.model", "model", False, False)
    assert model.at("image").value == "example.com/app:1"
    assert sklearn.path == "spec.predictor.sklearn"
    assert (main.in_full, init.in_full) == (True, False)


def test_a_preset_completes_a_container_without_an_image() -> None:
    [pod] = pods(manifest("LLMInferenceService", {"spec": {"template": {"containers": [{"name": "main"}, CONTAINER]}}}))
    assert [container.in_full for container in pod.containers()] == [False, True]


def test_a_runtime_completes_a_worker_without_an_image() -> None:
    worker = {"containers": [{"name": "worker-container"}]}
    found = pods(manifest("InferenceService", {"spec": {"predictor": {"workerSpec": worker}}}))
    assert [container.in_full for pod in found for container in pod.containers()] == [False]
    assert [pod.labels["component"] for pod in found] == ["predictor", "predictor"]


def test_a_pod_that_is_secret_is_not_known() -> None:
    [pod] = pods(manifest("Deployment", {"spec": {"template": {"spec": SECRET}}}))
    assert pod.unknown
    assert [(each.path, each.kind) for each in pod.containers()] == [("spec.template.spec", "container")]
    assert pods(manifest("Experiment", {"spec": {"trialTemplate": {"trialSpec": SECRET}}}))[0].unknown
    assert containers(pods(manifest("InferenceService", {"spec": {"predictor": SECRET}}))[0]) == ["spec.predictor"]


def test_what_is_no_object_is_no_container() -> None:
    [pod] = pods(manifest("Pod", {"spec": {"containers": [None, "main", CONTAINER]}}))
    assert containers(pod) == ["spec.containers[2]"]
    [pod] = pods(manifest("Unheard", {"spec": {"of": {"containers": [None, CONTAINER]}}}))
    assert containers(pod) == ["spec.of.containers[1]"]


def test_a_service_has_pods_even_where_it_says_nothing_of_them() -> None:
    assert [pod.path for pod in pods(manifest("LLMInferenceService", {"spec": {"model": {}}}))] == ["spec.template"]
    assert [pod.path for pod in pods(manifest("InferenceService", {"spec": {}}))] == ["spec.predictor"]
    assert pods(manifest("LLMInferenceServiceConfig", {"spec": {"model": {}}})) == []
    assert [pod.path for pod in pods(manifest("TrainJob", {"spec": {"runtimeRef": {}}}))] == ["spec.trainer"]


def test_what_a_train_job_leaves_out_says_nothing() -> None:
    trainer = {"image": "example.com/train:1", "env": [], "resourcesPerNode": {"limits": {"cpu": 1}}}
    [patched] = pods(manifest("TrainJob", {"spec": UNKNOWN}))
    assert patched.partial
    assert not patched.containers()[0].in_full
    optimized = {"trainJobTemplate": {"spec": {"trainer": trainer}}}
    assert [pod.partial for pod in pods(manifest("OptimizationJob", {"spec": optimized}))] == [True]
    inputs = {
        "spec": {
            "trainer": trainer,
            "initializer": {"model": {"env": [{"name": "A", "value": "b"}]}},
            "runtimePatches": [{"trainingRuntimeSpec": REPLICATED}],
        }
    }
    for found in (
        pods(manifest("TrainJob", inputs)),
        pods(manifest("Experiment", {"spec": {"trialTemplate": {"trialSpec": {"kind": "TrainJob", **inputs}}}})),
    ):
        assert len(found) == 2
        assert all(pod.partial for pod in found)
        assert all(container.partial and not container.in_full for pod in found for container in pod.containers())
        own, initializer = found[1].containers()
        assert own.at("image").path.endswith("spec.trainer.image")
        assert own.at("resources.limits.cpu").value == 1
        assert own.at("resources.limits.cpu").path.endswith("spec.trainer.resourcesPerNode.limits.cpu")
        assert initializer.every("env[].value")[0].path.endswith("spec.initializer.model.env[0].value")


def test_a_patch_of_pulumi_is_partial() -> None:
    [pod] = pods(manifest("DeploymentPatch", {"kind": "Deployment", "spec": {"template": TEMPLATE}}, "apps/v1"))
    assert pod.partial
    assert all(container.partial for container in pod.containers())
    trial = {"trialTemplate": {"trialSpec": {"kind": "Pod", "spec": POD}}}
    assert pods(manifest("ExperimentPatch", {"spec": trial}))[0].partial
    [pod] = pods(manifest("DeploymentPatch", {"spec": {"template": {"spec": {"hostPID": True}}}}, "apps/v1"))
    assert pod.at("hostPID").path == "spec.template.spec.hostPID"


@pytest.mark.parametrize(
    ("kind", "wrapped", "prefix"),
    [
        ("SparkApplication", lambda spec: {"spec": spec}, "spec"),
        ("ScheduledSparkApplication", lambda spec: {"spec": {"template": spec}}, "spec.template"),
        (
            "Experiment",
            lambda spec: {"spec": {"trialTemplate": {"trialSpec": {"kind": "SparkApplication", "spec": spec}}}},
            "spec.trialTemplate.trialSpec.spec",
        ),
    ],
)
def test_a_driver_and_an_executor_are_pods_with_their_own_names_of_fields(kind: str, wrapped: Any, prefix: str) -> None:
    spec = {
        "image": "example.com/spark:4",
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        "driver": {
            "podSecurityContext": {"runAsNonRoot": True},
            "securityContext": {"privileged": True},
            "hostNetwork": True,
            "serviceAccount": "spark",
            "sidecars": [CONTAINER],
            "ports": [{"hostPort": 80}],
        },
        "executor": {"image": "example.com/executor:4"},
    }
    volumes, driver, executor = pods(manifest(kind, wrapped(spec)))
    assert volumes.partial
    assert volumes.every("volumes[].hostPath.path")[0].path == f"{prefix}.volumes[0].hostPath.path"
    assert driver.at("securityContext.runAsNonRoot").path == f"{prefix}.driver.podSecurityContext.runAsNonRoot"
    assert driver.at("securityContext.runAsNonRoot").value is True
    assert driver.at("hostNetwork").value is True
    assert executor.at("serviceAccountName").value == "spark"
    assert executor.at("serviceAccountName").path == f"{prefix}.driver.serviceAccount"
    own, sidecar = driver.containers()
    assert own.at("securityContext.privileged").path == f"{prefix}.driver.securityContext.privileged"
    assert own.at("image").path == f"{prefix}.image"
    assert own.every("ports[].hostPort")[0].path == f"{prefix}.driver.ports[0].hostPort"
    assert (own.kind, own.in_full, sidecar.kind, sidecar.in_full) == ("spark", False, "sidecar", True)
    assert executor.containers()[0].at("image").path == f"{prefix}.executor.image"


def test_a_template_of_a_driver_fills_in_what_the_driver_leaves_out() -> None:
    said = {"securityContext": {"runAsUser": 5}, "serviceAccountName": "spark"}
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {**POD, **said, "containers": [CONTAINER, {"name": "proxy"}]},
    }
    spec = {"nodeSelector": {"zone": "a"}, "driver": {"template": template}}
    driver, rest = pods(manifest("SparkApplication", {"spec": spec}))
    assert driver.labels == {"app": "web", "spark-role": "driver", "sparkoperator.k8s.io/app-name": "web"}
    assert driver.at("serviceAccountName").path == "spec.driver.template.spec.serviceAccountName"
    assert driver.at("nodeSelector.zone").path == "spec.nodeSelector.zone"
    assert driver.at("securityContext.runAsUser").path == "spec.driver.template.spec.securityContext.runAsUser"
    own, main, proxy, init = driver.containers()
    assert own.at("image").value == "example.com/app:1"
    assert rest.at("securityContext").absent
    assert own.at("securityContext.privileged").path == (
        "spec.driver.template.spec.containers[0].securityContext.privileged"
    )
    assert main.partial
    assert (proxy.path, proxy.partial) == ("spec.driver.template.spec.containers[1]", False)
    assert init.kind == "init"
    assert rest.at("hostNetwork").path == "spec.driver.template.spec.hostNetwork"
    assert (rest.partial, rest.labels["app"]) == (True, "web")
    assert containers(rest) == []


def test_a_template_of_a_driver_that_is_not_known_may_fill_in_anything() -> None:
    driver, rest = pods(manifest("SparkApplication", {"spec": {"driver": {"template": UNKNOWN}}}))
    assert driver.at("securityContext.runAsNonRoot").unknown
    assert driver.containers()[0].at("securityContext.privileged").unknown
    assert rest.unknown


def test_a_pod_has_the_labels_of_its_template_and_of_its_controller() -> None:
    def labels(kind: str, inputs: dict[str, Any]) -> Any:
        return pods(manifest(kind, inputs))[0].labels

    assert labels("Deployment", {"spec": {"template": TEMPLATE}}) == {"app": "web"}
    assert labels("Deployment", {"spec": {"template": {**TEMPLATE, "metadata": UNKNOWN}}}) == UNKNOWN
    assert labels("Pod", {"metadata": {"labels": {"app": "web"}}, "spec": POD}) == {"app": "web"}
    assert labels("Job", {"spec": {"template": {"spec": POD}}})["job-name"] == "web"
    assert labels("Job", {"metadata": {}, "spec": {"template": {"spec": POD}}})["job-name"] == UNKNOWN
    assert labels("Unheard", {"spec": {"of": TEMPLATE}}) == {"app": "web"}
    [served] = pods(manifest("Service", {"spec": {"template": UNKNOWN}}, "serving.knative.dev/v1"))
    assert served.unknown
    [served] = pods(manifest("Service", {"spec": {"template": {"spec": POD}}}, "serving.knative.dev/v1"))
    assert served.labels == {"serving.knative.dev/service": "web"}
    assert labels("InferenceService", {"spec": {"predictor": {"labels": {"tier": "a"}, **POD}}}) == {
        "serving.kserve.io/inferenceservice": "web",
        "component": "predictor",
        "tier": "a",
    }
    said = {"metadata": {"name": "web", "labels": {"team": "a"}}, "spec": {"template": POD}}
    assert labels("InferenceService", said)["team"] == "a"
    assert labels("LLMInferenceService", said) == {"app.kubernetes.io/name": "web", "team": "a"}


def test_a_controller_labels_pods_with_the_name() -> None:
    for label, kinds in {
        "batch.kubernetes.io/job-name": "Job",
        "notebook-name": "Notebook",
        "statefulset": "Notebook",
        "sparkoperator.k8s.io/app-name": "SparkApplication ScheduledSparkApplication",
        "jobset.sigs.k8s.io/jobset-name": "JobSet TrainJob",
        "training.kubeflow.org/job-name": "PyTorchJob TFJob MPIJob XGBoostJob JAXJob",
    }.items():
        for kind in kinds.split():
            found = pods(manifest(kind, {"spec": {"driver": {}, "template": {"driver": {}, "spec": POD}}}))
            assert {pod.labels[label] for pod in found} == {"web"}


def test_a_pod_has_the_annotations_of_its_template() -> None:
    annotated = {"metadata": {"annotations": {"a": "b"}}, "spec": POD}
    for kind, inputs in (("Pod", annotated), ("Job", {"spec": {"template": annotated}}), ("Unheard", annotated)):
        assert pods(manifest(kind, inputs))[0].annotations == {"a": "b"}
    [predictor] = pods(manifest("InferenceService", {"spec": {"predictor": {"annotations": {"a": "b"}}}}))
    assert predictor.annotations == {"a": "b"}


def test_a_namespace_is_what_the_resource_says() -> None:
    for said, found in ((UNKNOWN, UNKNOWN), ("", None), ("serving", "serving")):
        assert pods(manifest("Pod", {"metadata": {"namespace": said}, "spec": POD}))[0].namespace == found
    assert pods(manifest("Pod", {"metadata": UNKNOWN, "spec": POD}))[0].namespace == UNKNOWN


def test_pods_are_looked_for_once() -> None:
    resource = manifest("Pod", {"spec": POD})
    assert pods(resource) is pods(resource)
    assert pods(resource)[0].containers() is pods(resource)[0].containers()
    assert resource == manifest("Pod", {"spec": POD})


@pytest.mark.parametrize("nonsense", [None, 7, True, "text", [], [[]], {}, [None], {"containers": 3}, {"spec": [1]}])
@pytest.mark.parametrize(
    "kind", ["Pod", "Deployment", "InferenceService", "TrainJob", "SparkApplication", "Experiment", "Unheard"]
)
def test_nonsense_is_no_error(kind: str, nonsense: Any) -> None:
    names = ("predictor", "template", "trainer", "driver", "volumes", "trialTemplate", "containers", "runtimePatches")
    for inputs in ({"spec": nonsense}, {"spec": dict.fromkeys(names, nonsense)}, {"metadata": nonsense, "spec": POD}):
        for pod in pods(manifest(kind, inputs)):
            for container in pod.containers():
                assert container.at("securityContext.privileged").path

"""The operators: KServe's controller in Standard mode, Kubeflow Trainer, and a Gateway API implementation.

- KServe: kserve.github.io/website/docs/concepts/resources (InferenceService status: PredictorReady, IngressReady,
  Ready), docs/admin-guide/overview#standard-deployment: a Deployment and a Service `<name>-predictor`; the predictor's
  pod fields are those of the pod, `minReplicas` its replicas where nothing scales it (docs/model-serving/
  predictive-inference/autoscaling). With the label `networking.kserve.io/visibility: cluster-local` the url is the
  Service's own.
- Kubeflow Trainer: www.kubeflow.org/docs/components/trainer/operator-guides/runtime and …/job-template: a TrainJob
  becomes a JobSet, whose Jobs are `<train job>-<replicated job>-0`; the lab makes that Job itself. What `trainer` says
  replaces what the runtime's container of the step `trainer` has; conditions Complete, Failed (TrainJob API).
- Gateway API: gateway-api.sigs.k8s.io/reference/spec (GatewayStatus.addresses, RouteParentStatus: Accepted,
  ResolvedRefs; a backend that is not there is `BackendNotFound`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.lab.kubernetes.controllers.workloads import stamp
from tests.lab.kubernetes.controllers.world import (
    Object,
    World,
    condition,
    conditions,
    copied,
    going,
    holds,
    owned_by,
)

PREDICTOR = "-predictor"
COMPONENT = (
    "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling", "labels",
    "canaryTrafficPercent", "containerConcurrency", "timeout", "logger", "batcher", "annotations", "deploymentStrategy",
    "model", "workerSpec",
)  # fmt: skip
"""The fields of a predictor that are not those of a pod (InferenceService CRD)."""


def inference_services(world: World) -> None:
    """Have the Deployment and the Service of every InferenceService, and say how they are."""
    for service in world.all("inferenceservices"):
        if not going(service):
            _inference_service(world, service)


def _inference_service(world: World, service: Object) -> None:
    metadata, predictor = service["metadata"], service["spec"]["predictor"]
    namespace, called = metadata["namespace"], f"{metadata['name']}{PREDICTOR}"
    chosen = {"app": f"isvc.{called}"}
    labels = {**(predictor.get("labels") or {}), **chosen, "component": "predictor"}
    labels["serving.kserve.io/inferenceservice"] = metadata["name"]
    pod = {key: value for key, value in predictor.items() if key not in COMPONENT}
    wanted = {
        "replicas": predictor.get("minReplicas", 1),
        "selector": {"matchLabels": chosen},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    about = {"name": called, "namespace": namespace, "labels": labels, "ownerReferences": owned_by(service)}
    _have(world, "deployments", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": wanted})
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    spec = {"selector": chosen, "ports": ports, "type": "ClusterIP"}
    _have(world, "services", {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": spec})
    deployment = world.get("deployments", namespace, called) or {"status": {}}
    # old pods that answer are enough, as the Deployment has it
    ready = holds(deployment, "Available")
    listed: list[Object] = deployment.get("status", {}).get("conditions", [])
    said: Object = next((item for item in listed if item["type"] == "Available"), {})
    why = ("", "") if ready else (said.get("reason", ""), said.get("message", ""))
    known = bool(said)
    url = f"http://{called}.{namespace}.svc.cluster.local"
    told = [
        condition("PredictorReady", ready if known else None, *why),
        condition("IngressReady", True if ready else None),
        condition("Ready", ready if known else None, *why),
    ]
    status: Object = {
        "observedGeneration": metadata["generation"],
        "deploymentMode": "Standard",
        "url": url,
        "address": {"url": url},
        "components": {"predictor": {"url": url}},
        "conditions": conditions(service, told, stamp()),
    }
    world.patch("inferenceservices", service, {"status": status}, "/status")


def _have(world: World, plural: str, body: Object) -> None:
    """Apply on the server's side, so that what others own stays as it is, unless nothing has changed."""
    found = world.get(plural, body["metadata"]["namespace"], body["metadata"]["name"])
    if found is None or found["metadata"].get("annotations", {}).get("lab/made") != _mark(body):
        body = copied(body)
        body["metadata"]["annotations"] = {"lab/made": _mark(body)}
        world.apply(plural, body)


def _mark(body: Object) -> str:
    return hashlib.sha256(json.dumps(body["spec"], sort_keys=True).encode()).hexdigest()[:16]


def train_jobs(world: World) -> None:
    """Run every TrainJob as a Job of its runtime's template."""
    for job in world.all("trainjobs"):
        if not going(job) and not holds(job, "Complete") and not holds(job, "Failed"):
            _train_job(world, job)


def _train_job(world: World, train: Object) -> None:
    metadata, spec = train["metadata"], train["spec"]
    namespace, reference = metadata["namespace"], spec["runtimeRef"]
    runtime = world.get("trainingruntimes", namespace, reference["name"])
    if runtime is None:
        said = condition("Failed", True, "RuntimeNotFound", f"TrainingRuntime {reference['name']} is not there")
        world.patch("trainjobs", train, {"status": {"conditions": conditions(train, [said], stamp())}}, "/status")
        return
    statuses, listed = [], []
    for replicated in runtime["spec"]["template"]["spec"]["replicatedJobs"]:
        called = f"{metadata['name']}-{replicated['name']}-0"
        made = world.get("jobs", namespace, called)
        if made is None:
            template = copied(replicated["template"])
            _overridden(template, spec)
            about = {**template.get("metadata", {}), "name": called, "namespace": namespace}
            body = {"apiVersion": "batch/v1", "kind": "Job", "spec": template["spec"]}
            world.create("jobs", {**body, "metadata": {**about, "ownerReferences": owned_by(train)}})
            made = {"status": {}}
        done, failed = holds(made, "Complete"), holds(made, "Failed")
        counts = {"succeeded": int(done), "failed": int(failed), "active": int(not done and not failed)}
        statuses.append({"name": replicated["name"], "ready": 0, "suspended": 0, **counts})
        if failed:
            why = next(item for item in made["status"]["conditions"] if item["type"] == "Failed")
            listed.append(condition("Failed", True, "JobsFailed", f"job {called} failed: {why['message']}"))
        elif done:
            listed.append(condition("Complete", True, "JobsCompleted", "jobset completed successfully"))
    status: Object = {"jobsStatus": statuses}
    if listed:
        status["conditions"] = conditions(train, listed[:1], stamp())
    world.patch("trainjobs", train, {"status": status}, "/status")


def _overridden(template: Object, spec: Object) -> None:
    """Put what a TrainJob says of its trainer in place of what the runtime has (TrainJobSpec.trainer)."""
    trainer: Object = spec.get("trainer") or {}
    pod = template["spec"]["template"]
    container = next(item for item in pod["spec"]["containers"] if item["name"] == "node")
    for name in ("image", "command", "args"):
        if name in trainer:
            container[name] = trainer[name]
    if "resourcesPerNode" in trainer:
        container["resources"] = trainer["resourcesPerNode"]
    known: dict[str, Any] = {item["name"]: item for item in container.get("env", ())}
    container["env"] = list({**known, **{item["name"]: item for item in trainer.get("env", ())}}.values())
    if "activeDeadlineSeconds" in spec:
        template["spec"]["activeDeadlineSeconds"] = spec["activeDeadlineSeconds"]


def gateways(world: World) -> None:
    """Say where each gateway is reached, and whether each route's backends are there."""
    for gateway in world.all("gateways"):
        listed = [condition("Accepted", True, "Accepted"), condition("Programmed", True, "Programmed")]
        status: Object = {
            "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
            "conditions": [{**item, "message": ""} for item in conditions(gateway, listed, stamp())],
        }
        world.patch("gateways", gateway, {"status": status}, "/status")
    for route in world.all("httproutes"):
        namespace = route["metadata"]["namespace"]
        named = {ref["name"] for rule in route["spec"]["rules"] for ref in rule.get("backendRefs") or ()}
        missing = sorted(name for name in named if world.get("services", namespace, name) is None)
        resolved = condition("ResolvedRefs", not missing, "BackendNotFound" if missing else "ResolvedRefs")
        accepted = condition("Accepted", True, "Accepted")
        known = (route.get("status", {}).get("parents") or [{}])[0]
        listed = conditions({"status": known}, [accepted, resolved], stamp())
        told = [{**item, "message": ", ".join(missing) if item["type"] == "ResolvedRefs" else ""} for item in listed]
        parent = {
            "parentRef": route["spec"]["parentRefs"][0],
            "controllerName": "lab.mlinfra/gateway",
            "conditions": [{**item, "observedGeneration": route["metadata"]["generation"]} for item in told],
        }
        world.patch("httproutes", route, {"status": {"parents": [parent]}}, "/status")

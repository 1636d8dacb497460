"""Pods: by the type of node that they select, else by what they request and the cluster's own prices.

A cluster's bill is that of its nodes. Where a pod selects an instance type, each replica is counted as a node of it.
Else requests are counted in vCPU, GB and accelerators of the price book's service `cluster`; nobody ships prices
for those: they stand in the repository's own price file, and are unpriced without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from mlinfra.policy.values import Value, at, every
from mlinfra.prices.book import EVERYWHERE, Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import (
    HOURS,
    Answer,
    Free,
    Gap,
    NotKnown,
    Quantity,
    Use,
    amount,
    apart,
    exactly,
    known,
    priced,
)
from mlinfra.prices.types.kubernetes_nodes import Node, node_of, quantity
from mlinfra.resources import Resource

_HPA = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
_KEDA = "kubernetes:keda.sh/v1alpha1:ScaledObject"
_GIB = Decimal(1024**3)
_COMPONENTS = ("predictor", "transformer", "explainer")
_MODELS = ("model", "sklearn", "xgboost", "lightgbm", "pytorch", "tensorflow", "triton", "onnx", "huggingface")
"""Where a component of an InferenceService describes the container that a serving runtime completes."""
_KEDA_MOST = 100
"""What KEDA takes for `maxReplicaCount` where nothing is said (keda.sh/docs/latest/reference/scaledobject-spec)."""


@priced("kubernetes:core/v1:Pod")
def pod(resource: Resource, context: Context) -> Iterator[Answer]:
    """One pod around the clock."""
    yield from _pods(at(resource.inputs, "spec"), exactly(1), "", "")


@priced(
    "kubernetes:apps/v1:Deployment",
    "kubernetes:apps/v1:StatefulSet",
    "kubernetes:apps/v1:ReplicaSet",
    "kubernetes:core/v1:ReplicationController",
)
def workload(resource: Resource, context: Context) -> Iterator[Answer]:
    """Replicas: a fixed number, or between the bounds of an autoscaler that refers to the workload."""
    fixed = amount(at(resource.inputs, "spec.replicas"), 1)
    low, high = _scaled(resource, context) or (fixed, fixed)
    replicas, assumed = context.replicas(resource, low, high)
    yield from _pods(at(resource.inputs, "spec.template.spec"), replicas, "", assumed)


@priced("kubernetes:apps/v1:DaemonSet")
def daemon_set(resource: Resource, context: Context) -> Iterator[Answer]:
    """Its pods take room on nodes that are paid for already."""
    yield Free("it runs on nodes that are there for other pods")


@priced("kubernetes:batch/v1:Job", "kubernetes:batch/v1:CronJob")
def job(resource: Resource, context: Context) -> Iterator[Answer]:
    """Pods side by side for as long as a run takes: a job once, and both as often a month as is stated."""
    cron = resource.type.endswith("CronJob")
    spec = at(resource.inputs, "spec.jobTemplate.spec" if cron else "spec")
    template = at(spec, "template.spec")
    parallel = amount(at(spec, "parallelism"), 1)
    side_by_side = exactly(min(parallel, amount(at(spec, "completions"), parallel)))
    hours, assumed = _run_hours(resource, spec, context)
    runs = context.stated(resource, "runs")
    if runs is not None:
        yield from _pods(template, side_by_side, f"{runs} runs a month", assumed, hours=hours * runs)
    elif cron:
        raise NotKnown(f"nothing says how often it runs; state {context.where_stated(resource, 'runs')}")
    if not cron:
        yield from _pods(template, side_by_side, "", assumed, hours=hours, one_off=True)


def _run_hours(resource: Resource, spec: Value, context: Context) -> tuple[Decimal, str]:
    """Return how long a run takes, and what was assumed: all the time that it may take."""
    where = context.where_stated(resource, "run_hours")
    if (stated := context.stated(resource, "run_hours")) is not None:
        return stated, ""
    deadline = at(spec, "activeDeadlineSeconds")
    if deadline.absent:
        raise NotKnown(f"nothing says how long it takes; state {where}")
    hours = amount(deadline) / 3600
    return hours, f"the whole maximum run time of {hours:.4g} h; state {where}"


@priced("kubernetes:serving.kserve.io/v1beta1:InferenceService")
def inference_service(resource: Resource, context: Context) -> Iterator[Answer]:
    """The components of a service, each from its minimum on; without a maximum there is no upper bound."""
    for name in _COMPONENTS:
        found = at(resource.inputs, f"spec.{name}")
        if found.absent:
            continue
        yield from apart(name, _component(resource, found, name, context))


def _component(resource: Resource, component: Value, name: str, context: Context) -> Iterator[Answer]:
    low = amount(at(component, "minReplicas"), 1)
    most = amount(at(component, "maxReplicas"), 0)
    replicas, assumed = context.replicas(resource, low, max(low, most))
    models = [at(component, field) for field in _MODELS]
    yield from _pods(component, replicas, name, assumed, extra=models)
    if most == 0:
        reason = f"spec.{name}.maxReplicas is absent: there is no upper bound"
        yield Gap(f"{name}: replicas above {low:f}", reason, quantity=True)


def _pods(
    spec: Value,
    replicas: Quantity,
    label: str,
    assumed: str,
    *,
    hours: Decimal | None = None,
    one_off: bool = False,
    extra: Sequence[Value] = (),
) -> Iterator[Answer]:
    """Yield what a number of pods costs, for some hours or all of a month."""
    running = replicas.times(HOURS if hours is None else hours)
    idle = hours is None
    node = node_of(spec)
    if node is not None:
        notes = [assumed, "a node of its own for each replica", node.assumed]
        yield Use(
            node.key,
            running,
            label,
            one_off=one_off,
            idle=idle,
            spot=node.spot,
            assumed="; ".join(filter(None, notes)),
            region=node.region,
        )
        yield from _accelerators(node, running, label, one_off=one_off, idle=idle)
        return
    containers = [*every(spec, "containers[]"), *extra]
    requested = {name: sum((_requested(each, name) for each in containers), Decimal(0)) for name in ("cpu", "memory")}
    gpus = sum((_gpus(each) for each in containers), Decimal(0))
    if not any((*requested.values(), gpus)):
        raise NotKnown("it selects no instance type and requests nothing")
    for item, each, unit in (
        ("vCPU", requested["cpu"], "vCPU-hour"),
        ("memory", requested["memory"] / _GIB, "GB-hour"),
        ("GPU", gpus, "GPU-hour"),
    ):
        if each > 0:
            key = Key("kubernetes", "cluster", "requests", item, unit)
            yield Use(key, running.times(each), label, one_off=one_off, idle=idle, assumed=assumed, region=EVERYWHERE)


def _accelerators(node: Node, running: Quantity, label: str, *, one_off: bool, idle: bool) -> Iterator[Answer]:
    if node.accelerator is not None:
        yield Use(node.accelerator, running, label, one_off=one_off, idle=idle, spot=node.spot, region=node.region)


def _requested(container: Value, name: str) -> Decimal:
    """Return a request; a limit is one where nothing is requested, as the scheduler has it."""
    asked = at(container, f"resources.requests['{name}']")
    return quantity(at(container, f"resources.limits['{name}']") if asked.absent else asked)


def _gpus(container: Value) -> Decimal:
    limits = known(at(container, "resources.limits"), {})
    names = [name for name in limits if str(name).endswith("/gpu") or "nvidia.com/mig" in str(name)]
    return sum((quantity(at(limits, f"['{name}']")) for name in names), Decimal(0))


def _scaled(resource: Resource, context: Context) -> tuple[Decimal, Decimal] | None:
    """Return the bounds of the autoscaler of a workload; None without one."""
    for scaler in context.inspection.of(_HPA, "kubernetes:autoscaling/v1:HorizontalPodAutoscaler", _KEDA):
        target = at(scaler.inputs, "spec.scaleTargetRef")
        if not _is_target(resource, scaler, target, context):
            continue
        if scaler.type == _KEDA:
            low = amount(at(scaler.inputs, "spec.minReplicaCount"), 0)
            return low, max(low, amount(at(scaler.inputs, "spec.maxReplicaCount"), _KEDA_MOST))
        low = amount(at(scaler.inputs, "spec.minReplicas"), 1)
        return low, max(low, amount(at(scaler.inputs, "spec.maxReplicas")))
    return None


def _is_target(resource: Resource, scaler: Resource, target: Value, context: Context) -> bool:
    kind, name = at(target, "kind"), at(target, "name")
    if target.unknown or name.unknown:
        return resource in context.inspection.sources(scaler, "spec")
    if str(known(kind, "Deployment")) != resource.type.rpartition(":")[2]:
        return False
    spaces = [str(known(at(each.inputs, "metadata.namespace"), "default")) for each in (resource, scaler)]
    return name.value == at(resource.inputs, "metadata.name").value and spaces[0] == spaces[1]


@priced("kubernetes:core/v1:Service")
def service(resource: Resource, context: Context) -> Iterator[Answer]:
    """A load balancer of the cluster's provider; other services are names only."""
    if known(at(resource.inputs, "spec.type"), "ClusterIP") != "LoadBalancer":
        yield Free("a name inside the cluster")
        return
    key = Key("kubernetes", "cluster", "load-balancer", "Service of type LoadBalancer", "hour")
    yield Use(key, exactly(HOURS), region=EVERYWHERE)


@priced("kubernetes:core/v1:PersistentVolumeClaim")
def claim(resource: Resource, context: Context) -> Iterator[Answer]:
    """The size that is asked for, by its storage class."""
    size = quantity(at(resource.inputs, "spec.resources.requests.storage")) / _GIB
    name = known(at(resource.inputs, "spec.storageClassName"))
    if name is None:
        raise NotKnown("spec.storageClassName is absent: the cluster's default class is not known here")
    key, region, assumed = _storage(str(name), context)
    yield Use(key, exactly(size), assumed=assumed, region=region)


_DISKS = {
    "ebs.csi.aws.com": ("aws", "EC2/EKS node", "storage", "EBS {}"),
    "pd.csi.storage.gke.io": ("gcp", "GCE/GKE node", "storage", "{}"),
}


def _storage(name: str, context: Context) -> tuple[Key, str, str]:
    """Return the key, the region and what was assumed for a class: a disk of a cloud, else the cluster's own."""
    for found in context.inspection.of("kubernetes:storage.k8s.io/v1:StorageClass"):
        disk = _DISKS.get(str(at(found.inputs, "provisioner").value))
        kind = at(found.inputs, "parameters.type")
        if at(found.inputs, "metadata.name").value == name and disk and not kind.absent and not kind.unknown:
            provider, service_name, component, item = disk
            key = Key(provider, service_name, component, item.format(kind.value), "GB-month")
            region = {"aws": "us-east-1", "gcp": "us-central1"}[provider]
            return key, region, f"the region, which nothing states: {region}"
    return Key("kubernetes", "cluster", "storage", name, "GB-month"), EVERYWHERE, ""

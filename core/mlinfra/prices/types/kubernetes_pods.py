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
from mlinfra.prices.registry import HOURS, Answer, Free, NotKnown, Quantity, Use, amount, exactly, known, priced
from mlinfra.prices.types.kubernetes_nodes import GIB, node_of, quantity
from mlinfra.resources import Resource

_HPA = "kubernetes:autoscaling/*:HorizontalPodAutoscaler"
_KEDA = "kubernetes:keda.sh/v1alpha1:ScaledObject"
_KEDA_MOST = 100
"""What KEDA takes for `maxReplicaCount` where nothing is said (keda.sh/docs/latest/reference/scaledobject-spec)."""


@priced("kubernetes:core/v1:Pod")
def pod(resource: Resource, context: Context) -> Iterator[Answer]:
    """One pod around the clock."""
    yield from priced_pods(at(resource.inputs, "spec"), exactly(1))


@priced(
    "kubernetes:apps/v1:Deployment",
    "kubernetes:apps/v1:StatefulSet",
    "kubernetes:apps/v1:ReplicaSet",
    "kubernetes:core/v1:ReplicationController",
)
def workload(resource: Resource, context: Context) -> Iterator[Answer]:
    """Replicas: a fixed number, or between the bounds of an autoscaler that refers to the workload."""
    replicas = at(resource.inputs, "spec.replicas")
    low, high = _scaled(resource, context) or (amount(replicas, 1), amount(replicas, 1))
    running, assumed = context.replicas(resource, low, high)
    yield from priced_pods(at(resource.inputs, "spec.template.spec"), running, assumed=assumed)


@priced("kubernetes:apps/v1:DaemonSet")
def daemon_set(resource: Resource, context: Context) -> Iterator[Answer]:
    """Its pods take room on nodes that are paid for already."""
    yield Free("it runs on nodes that are there for other pods")


def priced_pods(
    spec: Value,
    replicas: Quantity,
    label: str = "",
    *,
    assumed: str = "",
    hours: Decimal | None = None,
    one_off: bool = False,
    others: Sequence[Value] = (),
) -> Iterator[Answer]:
    """Yield what a number of pods costs, for some hours, or around the clock.

    `others` are containers that stand elsewhere than in the pod's list.

    Raises:
        NotKnown: nothing says what the pods run on.
    """
    running, idle = replicas.times(HOURS if hours is None else hours), hours is None
    node = node_of(spec)
    if node is not None:
        notes = "; ".join(filter(None, (assumed, "a node of its own for each replica", node.assumed)))
        for key in filter(None, (node.key, node.accelerator)):
            yield Use(key, running, label, one_off, idle, node.spot, notes, node.region)
        return
    containers = [*every(spec, "containers[]"), *others]
    requested = {
        ("vCPU", "vCPU-hour"): sum((_requested(each, "cpu") for each in containers), Decimal(0)),
        ("memory", "GB-hour"): sum((_requested(each, "memory") for each in containers), Decimal(0)) / GIB,
        ("GPU", "GPU-hour"): sum((_accelerators(each) for each in containers), Decimal(0)),
    }
    if not any(requested.values()):
        raise NotKnown("it selects no instance type and requests nothing")
    for (item, unit), each in requested.items():
        if each > 0:
            key = Key("kubernetes", "cluster", "requests", item, unit)
            yield Use(key, running.times(each), label, one_off, idle, assumed=assumed, region=EVERYWHERE)


def _requested(container: Value, name: str) -> Decimal:
    """Return a request; a limit is one where nothing is requested, as the scheduler has it."""
    asked = at(container, f"resources.requests['{name}']")
    return quantity(at(container, f"resources.limits['{name}']") if asked.absent else asked)


def _accelerators(container: Value) -> Decimal:
    limits = at(container, "resources.limits")
    names = [name for name in known(limits, {}) if str(name).endswith("/gpu") or "nvidia.com/mig" in str(name)]
    return sum((quantity(at(limits, f"['{name}']")) for name in names), Decimal(0))


def _scaled(resource: Resource, context: Context) -> tuple[Decimal, Decimal] | None:
    """Return the bounds of the autoscaler of a workload; None without one."""
    for scaler in context.inspection.of(_HPA, _KEDA):
        if not _is_target(resource, scaler, context):
            continue
        if scaler.type == _KEDA:
            low = amount(at(scaler.inputs, "spec.minReplicaCount"), 0)
            return low, max(low, amount(at(scaler.inputs, "spec.maxReplicaCount"), _KEDA_MOST))
        low = amount(at(scaler.inputs, "spec.minReplicas"), 1)
        return low, max(low, amount(at(scaler.inputs, "spec.maxReplicas")))
    return None


def _is_target(resource: Resource, scaler: Resource, context: Context) -> bool:
    target = at(scaler.inputs, "spec.scaleTargetRef")
    name = at(target, "name")
    if name.unknown:
        return resource in context.inspection.sources(scaler, "spec")
    if str(known(at(target, "kind"), "Deployment")) != resource.type.rpartition(":")[2]:
        return False
    spaces = [str(known(at(each.inputs, "metadata.namespace"), "default")) for each in (resource, scaler)]
    return name.value == at(resource.inputs, "metadata.name").value and spaces[0] == spaces[1]

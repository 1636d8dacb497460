"""AWS machines, clusters and functions."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from mlinfra.policy.values import at, every
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import HOURS, Answer, NotKnown, Use, amount, exactly, known, priced
from mlinfra.resources import Resource

_NODE_GB = 20
"""The disk of a node where none is said (API CreateNodegroup)."""
_NODE_TYPE = "t3.medium"
"""The type of a node where none is said (API CreateNodegroup)."""
_FUNCTION_MB = 128


def _machine(instance: str) -> Key:
    return Key("aws", "EC2/EKS node", "compute", instance, "hour")


def _disk(kind: str) -> Key:
    return Key("aws", "EC2/EKS node", "storage", f"EBS {kind}", "GB-month")


@priced("aws:ec2/instance:Instance")
def instance(resource: Resource, context: Context) -> Iterator[Answer]:
    """The machine as long as it is on, and its disks."""
    kind = known(at(resource.inputs, "instanceType"))
    if kind is None:
        raise NotKnown("instanceType is absent")
    spot = known(at(resource.inputs, "instanceMarketOptions.marketType")) == "spot"
    stated = context.stated(resource, "hours")
    assumed = "" if stated is not None else f"always on; state {context.where_stated(resource, 'hours')}"
    yield Use(_machine(str(kind)), exactly(HOURS if stated is None else stated), spot=spot, assumed=assumed)
    for path in ("rootBlockDevice", "ebsBlockDevices[]"):
        for disk in every(resource.inputs, path):
            if not at(disk.value, "volumeSize").absent:
                size = amount(at(disk.value, "volumeSize"))
                yield Use(_disk(str(known(at(disk.value, "volumeType"), "gp2"))), exactly(size), "disk")


@priced("aws:eks/cluster:Cluster")
def cluster(resource: Resource, context: Context) -> Iterator[Answer]:
    """The control plane around the clock."""
    yield Use(Key("aws", "EKS", "cluster", "cluster", "hour"), exactly(HOURS))


@priced("aws:eks/nodeGroup:NodeGroup")
def node_group(resource: Resource, context: Context) -> Iterator[Answer]:
    """Nodes of the first instance type, between the minimum and the maximum of the group, and their disks."""
    given = every(resource.inputs, "instanceTypes[]")
    kind = str(known(given[0])) if given else _NODE_TYPE
    low = amount(at(resource.inputs, "scalingConfig.minSize"))
    high = max(low, amount(at(resource.inputs, "scalingConfig.maxSize")))
    nodes, assumed = context.replicas(resource, low, high)
    spot = known(at(resource.inputs, "capacityType")) == "SPOT"
    yield Use(_machine(kind), nodes.times(HOURS), "nodes", spot=spot, assumed=assumed)
    size = amount(at(resource.inputs, "diskSize"), _NODE_GB)
    yield Use(_disk("gp3"), nodes.times(size), "disks", assumed=assumed)


@priced("aws:lambda/function:Function")
def function(resource: Resource, context: Context) -> Iterator[Answer]:
    """Requests and the time that they take, as stated."""
    requests, assumed = context.load(resource, "requests")
    yield Use(
        Key("aws", "Lambda", "function", "requests", "million requests"), requests.times(Decimal("0.000001")),
        idle=False, assumed=assumed,
    )  # fmt: skip
    memory = amount(at(resource.inputs, "memorySize"), _FUNCTION_MB) / 1024
    kinds = every(resource.inputs, "architectures[]")
    architecture = str(known(kinds[0])) if kinds else "x86_64"
    milliseconds, unstated = context.load(resource, "request_ms")
    busy = requests.times(milliseconds.likely * memory / 1000)
    yield Use(
        Key("aws", "Lambda", "function", f"duration {architecture}", "GB-second"), busy,
        idle=False, assumed=assumed or unstated,
    )  # fmt: skip

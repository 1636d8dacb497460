"""What a cluster asks its cloud for besides nodes: load balancers and disks."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.values import at
from mlinfra.prices.book import EVERYWHERE, Key
from mlinfra.prices.context import ASSUMED_REGIONS, Context
from mlinfra.prices.registry import HOURS, Answer, Free, NotKnown, Use, exactly, known, priced
from mlinfra.prices.types.kubernetes_nodes import GIB, quantity
from mlinfra.resources import Resource

_DISKS = {
    "ebs.csi.aws.com": ("aws", "EC2/EKS node", "EBS {}"),
    "pd.csi.storage.gke.io": ("gcp", "GCE/GKE node", "{}"),
}
"""By provisioner: the provider and the service of its disks, and how their type is an item of the price book."""


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
    """The size that is asked for, by its storage class: a disk of a cloud, else of the cluster's own prices."""
    size = exactly(quantity(at(resource.inputs, "spec.resources.requests.storage")) / GIB)
    name = known(at(resource.inputs, "spec.storageClassName"))
    if name is None:
        raise NotKnown("spec.storageClassName is absent: the cluster's default class is not known here")
    for found in context.inspection.of("kubernetes:storage.k8s.io/v1:StorageClass"):
        disk, kind = _DISKS.get(str(at(found.inputs, "provisioner").value)), at(found.inputs, "parameters.type")
        if at(found.inputs, "metadata.name").value == name and disk and not kind.absent:
            provider, service_name, item = disk
            key = Key(provider, service_name, "storage", item.format(known(kind)), "GB-month")
            region = ASSUMED_REGIONS[provider]
            yield Use(key, size, assumed=f"the region, which nothing states: {region}", region=region)
            return
    yield Use(Key("kubernetes", "cluster", "storage", str(name), "GB-month"), size, region=EVERYWHERE)

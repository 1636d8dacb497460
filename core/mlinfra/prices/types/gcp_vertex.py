"""Vertex AI: prediction nodes, persistent resources, online feature stores, vector search and Workbench.

An endpoint costs nothing by itself; the pools and models that are deployed to it do. Machines of the families A2, A3,
A4 and G2 contain their accelerators: nothing is added for those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from mlinfra.policy.values import Value, at, every, is_true
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import (
    HOURS,
    Answer,
    Free,
    NotKnown,
    Quantity,
    Use,
    amount,
    apart,
    exactly,
    gap_of,
    known,
    priced,
)
from mlinfra.resources import Resource

PRICES = "https://cloud.google.com/vertex-ai/pricing"
_CONTAIN_ACCELERATORS = ("a2-", "a3-", "a4-", "a4x-", "g2-", "g4-")
_BOOT_DISK_GB = 100
_WORKBENCH_BOOT_DISK_GB, _WORKBENCH_DATA_DISK_GB = 150, 100


@priced("gcp:vertex/aiEndpoint:AiEndpoint", "gcp:vertex/aiIndexEndpoint:AiIndexEndpoint")
def endpoint(resource: Resource, context: Context) -> Iterator[Answer]:
    """Nothing, as long as nothing is deployed to it."""
    yield Free("an endpoint costs nothing; what is deployed to it does", PRICES)


@priced("gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool")
def pool(resource: Resource, context: Context) -> Iterator[Answer]:
    """The nodes of a pool, from its minimum on."""
    yield from _nodes(resource, at(resource.inputs, "dedicatedResources"), "online-prediction", context)


@priced("gcp:vertex/aiEndpointWithModelGardenDeployment:AiEndpointWithModelGardenDeployment")
def model_garden(resource: Resource, context: Context) -> Iterator[Answer]:
    """The nodes that serve a model of the garden."""
    dedicated = at(resource.inputs, "deployConfig.dedicatedResources")
    if dedicated.absent:
        raise NotKnown("deployConfig.dedicatedResources is absent: the model's own machine is not known here")
    yield from _nodes(resource, dedicated, "online-prediction", context)


@priced("gcp:vertex/aiIndexEndpointDeployedIndex:AiIndexEndpointDeployedIndex")
def deployed_index(resource: Resource, context: Context) -> Iterator[Answer]:
    """The nodes that serve an index."""
    dedicated = at(resource.inputs, "dedicatedResources")
    if dedicated.absent:
        raise NotKnown("dedicatedResources is absent: Google chooses the machines")
    yield from _nodes(resource, dedicated, "vector-search", context)


@priced("gcp:vertex/aiIndex:AiIndex")
def index(resource: Resource, context: Context) -> Iterator[Answer]:
    """Building it once; each later build costs the same again."""
    quantity, assumed = context.load(resource, "storage_gb")
    yield Use(_key("vector-search", "index build", "GiB"), quantity, one_off=True, assumed=assumed)


@priced("gcp:vertex/aiPersistentResource:AiPersistentResource")
def persistent_resource(resource: Resource, context: Context) -> Iterator[Answer]:
    """The pools of machines, which wait for jobs day and night."""
    for number, found in enumerate(every(resource.inputs, "resourcePools[]")):
        label = f"pool {number + 1}"
        yield from apart(label, _machines_of_pool(resource, found, label, context))


@priced("gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore")
def online_store(resource: Resource, context: Context) -> Iterator[Answer]:
    """Bigtable nodes and what they keep; or optimized serving, whose nodes Google scales without a bound."""
    bigtable = at(resource.inputs, "bigtable")
    if not known(bigtable):
        nodes, where = context.stated(resource, "replicas"), context.where_stated(resource, "replicas")
        likely = max(nodes or Decimal(1), Decimal(1))
        key = _key("feature-store", "optimized online serving node", "node-hour")
        assumed = "" if nodes is not None else f"one node; Google adds some under load; state {where}"
        yield Use(key, Quantity(Decimal(1), likely, likely).times(HOURS), assumed=assumed)
        return
    low = amount(at(resource.inputs, "bigtable.autoScaling.minNodeCount"))
    high = max(low, amount(at(resource.inputs, "bigtable.autoScaling.maxNodeCount"), low))
    nodes_quantity, assumed = context.replicas(resource, low, high)
    key = _key("feature-store", "Bigtable online serving node", "node-hour")
    yield Use(key, nodes_quantity.times(HOURS), assumed=assumed)
    kept, assumed = context.load(resource, "storage_gb")
    yield Use(_key("feature-store", "Bigtable storage", "GiB-hour"), kept.times(HOURS), assumed=assumed)


@priced("gcp:vertex/aiFeatureStore:AiFeatureStore")
def legacy_store(resource: Resource, context: Context) -> Iterator[Answer]:
    """Nodes of online serving, a fixed number or between two; and what is kept offline."""
    fixed = amount(at(resource.inputs, "onlineServingConfig.fixedNodeCount"), 0)
    low = amount(at(resource.inputs, "onlineServingConfig.scaling.minNodeCount"), fixed)
    high = max(low, amount(at(resource.inputs, "onlineServingConfig.scaling.maxNodeCount"), low))
    if high > 0:
        nodes, assumed = context.replicas(resource, low, high)
        yield Use(_key("feature-store", "legacy online node", "node-hour"), nodes.times(HOURS), assumed=assumed)
    kept, assumed = context.load(resource, "storage_gb")
    yield Use(_key("feature-store", "legacy offline storage", "GB-month"), kept, assumed=assumed)


@priced("gcp:vertex/aiFeatureOnlineStoreFeatureview:AiFeatureOnlineStoreFeatureview")
def feature_view(resource: Resource, context: Context) -> Iterator[Answer]:
    """The nodes that bring its data online, for as long as its syncs take."""
    runs, hours = context.stated(resource, "runs"), context.stated(resource, "run_hours")
    stated = runs is not None and hours is not None
    where = context.where_stated(resource, "runs")
    yield Use(
        _key("feature-store", "data processing node", "node-hour"),
        exactly((runs or Decimal(0)) * (hours or Decimal(0))),
        assumed="" if stated else f"no syncs; state {where} and run_hours",
    )


@priced("gcp:vertex/aiTensorboard:AiTensorboard", "gcp:vertex/aiMetadataStore:AiMetadataStore")
def kept(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is kept."""
    item = "TensorBoard" if "Tensorboard" in resource.type else "ML Metadata"
    quantity, assumed = context.load(resource, "storage_gb")
    yield Use(_key("storage", item, "GiB-month"), quantity, assumed=assumed)


@priced("gcp:workbench/instance:Instance")
def workbench(resource: Resource, context: Context) -> Iterator[Answer]:
    """The machine while it is switched on, with the fee for managing it; the disks always."""
    setup = at(resource.inputs, "gceSetup")
    hours, assumed = _hours(resource, context)
    region = _region_of_zone(resource)
    machine = known(at(setup, "machineType"))
    if machine is None:
        raise NotKnown("gceSetup.machineType is absent: the machine that Google chooses is not known here")
    shape = re.fullmatch(r"n1-(standard|highmem|highcpu)-(\d+)", str(machine))
    if shape is None:
        yield Use(_key("workbench", str(machine), "hour"), hours, assumed=assumed, region=region)
    else:
        cores = Decimal(shape[2])
        memory = cores * {"standard": Decimal("3.75"), "highmem": Decimal("6.5"), "highcpu": Decimal("0.9")}[shape[1]]
        yield Use(
            _key("workbench", "N1 vCPU", "vCPU-hour"), hours.times(cores), machine, assumed=assumed, region=region
        )
        key = _key("workbench", "N1 memory", "GiB-hour")
        yield Use(key, hours.times(memory), machine, assumed=assumed, region=region)
    for accelerator in every(setup, "acceleratorConfigs[]"):
        count = amount(at(accelerator, "coreCount"), 1)
        key = _key("workbench", str(known(at(accelerator, "type"))), "hour")
        yield Use(key, hours.times(count), "accelerators", assumed=assumed, region=region)
    data_disks = every(setup, "dataDisks[]") or [at(setup, "dataDisks")]
    for name, disk, default in (
        ("boot disk", at(setup, "bootDisk"), _WORKBENCH_BOOT_DISK_GB),
        ("data disk", data_disks[0], _WORKBENCH_DATA_DISK_GB),
    ):
        key = _key("workbench", str(known(at(disk, "diskType"), "PD_BALANCED")), "GB-month")
        yield Use(key, exactly(amount(at(disk, "diskSizeGb"), default)), name, region=region)


def _machines_of_pool(resource: Resource, found: Value, label: str, context: Context) -> Iterator[Answer]:
    fixed = amount(at(found, "replicaCount"), 1)
    low = amount(at(found, "autoscalingSpec.minReplicaCount"), fixed)
    high = max(low, amount(at(found, "autoscalingSpec.maxReplicaCount"), low))
    replicas, assumed = context.replicas(resource, low, high)
    yield from machines(at(found, "machineSpec"), "custom-training", replicas.times(HOURS), label, assumed)
    disk = str(known(at(found, "diskSpec.bootDiskType"), "pd-ssd"))
    size = amount(at(found, "diskSpec.bootDiskSizeGb"), _BOOT_DISK_GB)
    yield Use(_key("custom-training", disk, "GB-month"), replicas.times(size), label, assumed=assumed)


def _nodes(resource: Resource, dedicated: Value, component: str, context: Context) -> Iterator[Answer]:
    """Yield the nodes of dedicated resources; an absent maximum is equal to the minimum."""
    low = amount(at(dedicated, "minReplicaCount"))
    high = max(low, amount(at(dedicated, "maxReplicaCount"), low))
    replicas, assumed = context.replicas(resource, low, high)
    spot = is_true(known(at(dedicated, "spot")))
    yield from machines(at(dedicated, "machineSpec"), component, replicas.times(HOURS), "", assumed, spot=spot)


def machines(
    spec: Value,
    component: str,
    hours: Quantity,
    label: str = "",
    assumed: str = "",
    *,
    spot: bool = False,
    one_off: bool = False,
    idle: bool = True,
) -> Iterator[Answer]:
    """Yield hours of a machine and of the accelerators beside it, as a `machineSpec` says them.

    Raises:
        NotKnown: it says no machine.
    """
    machine = known(at(spec, "machineType"))
    if machine is None:
        raise NotKnown(f"{spec.path}.machineType is absent")
    yield Use(_key(component, str(machine), "hour"), hours, label, one_off, idle, spot, assumed)
    if str(machine).startswith(_CONTAIN_ACCELERATORS):
        return
    try:
        accelerator = known(at(spec, "acceleratorType"))
        count = amount(at(spec, "acceleratorCount"), 0 if accelerator is None else 1)
    except NotKnown as error:
        yield gap_of(f"accelerators of {machine}", error, one_off=one_off)
        return
    if accelerator is not None and accelerator != "ACCELERATOR_TYPE_UNSPECIFIED" and count > 0:
        key = _key(component, str(accelerator), "hour")
        yield Use(key, hours.times(count), label, one_off, idle, spot, assumed)


def _hours(resource: Resource, context: Context) -> tuple[Quantity, str]:
    stated = context.stated(resource, "hours")
    if stated is not None:
        return exactly(stated), ""
    return exactly(HOURS), f"always on; state {context.where_stated(resource, 'hours')}"


def _region_of_zone(resource: Resource) -> str:
    """Return the region of a resource whose `location` is a zone, or nothing where it says none."""
    location = known(at(resource.inputs, "location"))
    return re.sub(r"-[a-z]$", "", str(location).lower()) if location is not None else ""


def _key(component: str, item: str, unit: str) -> Key:
    return Key("gcp", "Vertex AI", component, item, unit)

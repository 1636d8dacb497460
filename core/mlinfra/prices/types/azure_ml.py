"""Azure Machine Learning: deployments of managed online endpoints, clusters, instances and serverless jobs.

Azure Machine Learning adds nothing to the price of its virtual machines. Wire inputs stand in `properties`, which
the provider's SDK also calls `onlineDeploymentProperties` and `jobBaseProperties`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache

from mlinfra.policy.values import Value, at, every
from mlinfra.prices.book import Key, snapshot
from mlinfra.prices.context import Context
from mlinfra.prices.registry import HOURS, AmountNotKnown, Answer, Free, NotKnown, Use, amount, exactly, known, priced
from mlinfra.resources import Resource

PRICES = "https://azure.microsoft.com/pricing/details/machine-learning/"
_AUTOSCALE = ("azure-native:monitor:AutoscaleSetting", "azure-native:insights:AutoscaleSetting")
_MACHINES = "Virtual Machines"
_ML = "azure-native:machinelearningservices"
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def machine(size: object, component: str = "compute") -> Key:
    """Return what an hour of a virtual machine is found by: `compute`, or `low-priority`; Azure reads its size in any
    case."""
    spelled = _spellings().get(str(size).lower(), str(size))
    return Key("azure", _MACHINES, component, spelled, "hour")


@cache
def _spellings() -> Mapping[str, str]:
    return {price.key.item.lower(): price.key.item for price in snapshot().prices if price.key.service == _MACHINES}


@priced(f"{_ML}:OnlineEndpoint", f"{_ML}:BatchEndpoint")
def endpoint(resource: Resource, context: Context) -> Iterator[Answer]:
    """Nothing, as long as nothing is deployed to it."""
    yield Free("an endpoint costs nothing; its deployments do", PRICES)


@priced(f"{_ML}:OnlineDeployment")
def deployment(resource: Resource, context: Context) -> Iterator[Answer]:
    """The instances: as many as the SKU says, or between the bounds of autoscaling settings that refer to it."""
    properties = _properties(resource, "onlineDeploymentProperties")
    if known(at(properties, "endpointComputeType")) == "Kubernetes":
        yield Free("it runs on the nodes of an attached cluster")
        return
    size = known(at(properties, "instanceType"))
    if size is None:
        raise NotKnown(f"{properties.path}.instanceType is absent")
    capacity = at(resource.inputs, "sku.capacity")
    low, high = _bounds(resource, context) or (amount(capacity, 1), amount(capacity, 1))
    instances, assumed = context.replicas(resource, low, high)
    yield Use(machine(size), instances.times(HOURS), assumed=assumed)


@priced(f"{_ML}:Compute")
def compute(resource: Resource, context: Context) -> Iterator[Answer]:
    """A cluster's nodes between its bounds; an instance while it is switched on, and its disk always."""
    kind = known(at(resource.inputs, "properties.computeType"))
    inner = at(resource.inputs, "properties.properties")
    if kind not in ("AmlCompute", "ComputeInstance"):
        yield Free(f"{kind or 'attached compute'} is billed where it runs", PRICES)
        return
    size = known(at(inner, "vmSize"))
    if size is None:
        raise NotKnown("properties.properties.vmSize is absent")
    if kind == "AmlCompute":
        low = amount(at(inner, "scaleSettings.minNodeCount"), 0)
        high = max(low, amount(at(inner, "scaleSettings.maxNodeCount")))
        nodes, assumed = context.replicas(resource, low, high)
        low_priority = known(at(inner, "vmPriority"), "Dedicated") == "LowPriority"
        yield Use(machine(size, "low-priority" if low_priority else "compute"), nodes.times(HOURS), assumed=assumed)
        return
    stated = context.stated(resource, "hours")
    where = context.where_stated(resource, "hours")
    yield Use(
        machine(size),
        exactly(HOURS if stated is None else stated),
        assumed=f"always on; state {where}" if stated is None else "",
    )
    yield Use(Key("azure", "Managed Disks", "disk", "P10", "month"), exactly(1), "disk")


@priced(f"{_ML}:Job")
def job(resource: Resource, context: Context) -> Iterator[Answer]:
    """A serverless job's machines while it runs; another job is billed by the compute that it names."""
    properties = _properties(resource, "jobBaseProperties")
    if not at(properties, "computeId").absent:
        yield Free("it is billed by the compute that it runs on", PRICES)
        return
    size = known(at(properties, "resources.instanceType"))
    if size is None:
        raise NotKnown("resources.instanceType is absent: the machine that Azure chooses is not known here")
    spot = str(known(at(properties, "queueSettings.jobTier"), "")).lower() == "spot"
    key = machine(size, "low-priority" if spot else "compute")
    hours, assumed = _run_hours(resource, properties, context)
    machines = amount(at(properties, "resources.instanceCount"), 1)
    yield Use(key, exactly(hours * machines), one_off=True, idle=False, assumed=assumed)
    if (runs := context.stated(resource, "runs")) is not None:
        yield Use(key, exactly(hours * machines * runs), f"{runs} runs a month", idle=False, assumed=assumed)


@priced(f"{_ML}:Schedule")
def schedule(resource: Resource, context: Context) -> Iterator[Answer]:
    """Nothing for the schedule itself; the jobs that it starts are billed where they run."""
    properties = _properties(resource, "scheduleProperties")
    if known(at(properties, "isEnabled"), True) in (False, "false"):
        yield Free("it is switched off", PRICES)
        return
    if at(properties, "action.jobDefinition.computeId").absent:
        raise NotKnown(f"{properties.path}.action: the machines of the jobs that it starts are not known here")
    yield Free("its jobs are billed by the compute that they run on", PRICES)


@priced(f"{_ML}:Registry")
def registry(resource: Resource, context: Context) -> Iterator[Answer]:
    """A storage account and a container registry in each of its regions, which Azure makes."""
    raise NotKnown("what Azure makes for it in each region (storage, container registry) is not known here")


def _run_hours(resource: Resource, properties: Value, context: Context) -> tuple[Decimal, str]:
    """Return how long a run takes, and what was assumed: all the time that it may take."""
    where = context.where_stated(resource, "run_hours")
    if (stated := context.stated(resource, "run_hours")) is not None:
        return stated, ""
    limit = known(at(properties, "limits.timeout"))
    found = _DURATION.fullmatch(str(limit)) if limit is not None else None
    if found is None:
        raise AmountNotKnown(f"nothing says how long it takes; state {where}")
    days, hours, minutes, seconds = (Decimal(group or 0) for group in found.groups())
    total = days * 24 + hours + minutes / 60 + seconds / 3600
    return total, f"the whole maximum run time of {total:.4g} h; state {where}"


def _properties(resource: Resource, name: str) -> Value:
    """Return the object that the service calls `properties`."""
    named = at(resource.inputs, name)
    return at(resource.inputs, "properties") if named.absent else named


def _bounds(resource: Resource, context: Context) -> tuple[Decimal, Decimal] | None:
    """Return between how many instances a deployment has, over all profiles that scale it; None without any.

    A profile may hold at some hours only, so that at least is the least of all profiles, and at most the most.
    """
    capacities = [
        profile
        for setting in _settings_of(resource, context)
        if known(at(setting.inputs, "enabled"), True) not in (False, "false")
        for profile in _profiles(setting)
    ]
    if not capacities:
        return None
    low = min(amount(at(profile, "capacity.minimum")) for profile in capacities)
    high = max(amount(at(profile, "capacity.maximum")) for profile in capacities)
    return low, max(low, high)


def _profiles(setting: Resource) -> Sequence[Value]:
    found = every(setting.inputs, "profiles[]")
    if any(profile.unknown for profile in found):
        raise NotKnown(f"the profiles of {setting.name} are known only after an up")
    return found


def _settings_of(resource: Resource, context: Context) -> Iterator[Resource]:
    """Yield the autoscaling settings that refer to a deployment, by dependency or by its id."""
    endpoint_name, name = at(resource.inputs, "endpointName").value, at(resource.inputs, "deploymentName").value
    path = re.escape(f"/onlineEndpoints/{endpoint_name}/deployments/{name}")
    ending = re.compile(rf"{path}/?$", re.IGNORECASE)
    for setting in context.inspection.of(*_AUTOSCALE):
        target = at(setting.inputs, "targetResourceUri")
        if target.absent:
            continue
        if target.unknown:
            if resource in context.inspection.sources(setting, "targetResourceUri"):
                yield setting
        elif ending.search(str(target.value)):
            yield setting

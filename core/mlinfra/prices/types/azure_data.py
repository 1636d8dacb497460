"""What Azure keeps for a platform: blobs, images, secrets, logs and caches; and the nodes of its clusters."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from mlinfra.policy.values import at, every, is_true
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import HOURS, Answer, Free, NotKnown, Use, amount, apart, exactly, known, priced
from mlinfra.prices.types.azure_ml import machine
from mlinfra.resources import Resource

_CLUSTERS = "azure-native:containerservice"


@priced("azure-native:storage:StorageAccount")
def storage_account(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is kept, by access tier and redundancy."""
    sku = str(known(at(resource.inputs, "sku.name"), ""))
    performance, _, redundancy = sku.partition("_")
    if not redundancy:
        raise NotKnown("sku.name is absent")
    tier = str(known(at(resource.inputs, "accessTier"), "Hot")) if performance == "Standard" else performance
    kept, assumed = context.load(resource, "storage_gb")
    yield Use(Key("azure", "Blob Storage", "storage", f"{tier} {redundancy}", "GB-month"), kept, assumed=assumed)


@priced("azure-native:containerregistry:Registry")
def registry(resource: Resource, context: Context) -> Iterator[Answer]:
    """The registry by the day, by its tier; the tier contains some storage."""
    tier = str(known(at(resource.inputs, "sku.name"), "Basic"))
    yield Use(Key("azure", "Container Registry", "registry", tier, "day"), exactly(HOURS / 24))


@priced("azure-native:keyvault:Vault")
def vault(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is asked of it; keys in hardware, which only the premium tier has, are not counted."""
    tier = str(known(at(resource.inputs, "properties.sku.name"), "standard")).capitalize()
    requests, assumed = context.load(resource, "requests")
    key = Key("azure", "Key Vault", "operations", tier, "10K")
    yield Use(key, requests.times(Decimal("0.0001")), idle=False, assumed=assumed)


@priced("azure-native:operationalinsights:Workspace")
def log_workspace(resource: Resource, context: Context) -> Iterator[Answer]:
    """The logs that come in."""
    logs, assumed = context.load(resource, "log_gb")
    key = Key("azure", "Log Analytics", "logs", "Analytics Logs ingestion", "GB")
    yield Use(key, logs, idle=False, assumed=assumed)


@priced("azure-native:monitor:DiagnosticSetting", "azure-native:insights:DiagnosticSetting")
def diagnostic_setting(resource: Resource, context: Context) -> Iterator[Answer]:
    """Nothing, where logs go to a workspace, which bills them; elsewhere what is sent."""
    for path in ("storageAccountId", "eventHubAuthorizationRuleId"):
        if not at(resource.inputs, path).absent:
            raise NotKnown(f"{path}: how many GB of logs are sent there is not known here")
    yield Free("the workspace bills the logs that come in", "https://azure.microsoft.com/pricing/details/monitor/")


@priced("azure-native:cache:Redis", "azure-native:redis:Redis")
def redis(resource: Resource, context: Context) -> Iterator[Answer]:
    """The whole cache, with its replica; a premium one for each shard."""
    sku = at(resource.inputs, "sku")
    name, family = known(at(sku, "name")), known(at(sku, "family"))
    if name is None or family is None:
        raise NotKnown("sku.name or sku.family is absent")
    size = f"{name} {family}{amount(at(sku, 'capacity')):f}"
    shards = max(Decimal(1), amount(at(resource.inputs, "shardCount"), 1))
    yield Use(Key("azure", "Redis Cache", "redis", size, "hour"), exactly(HOURS * shards))


@priced(f"{_CLUSTERS}:ManagedCluster")
def managed_cluster(resource: Resource, context: Context) -> Iterator[Answer]:
    """The control plane, free in the free tier, and the pools that the cluster names."""
    tier = str(known(at(resource.inputs, "sku.tier"), "Free"))
    pools = every(resource.inputs, "agentPoolProfiles[]")
    if tier != "Free":
        key = Key("azure", "Kubernetes Service", "cluster", f"AKS control plane {tier}", "hour")
        yield Use(key, exactly(HOURS))
    elif not pools:
        yield Free("the free tier has no charge for the control plane")
    for number, pool in enumerate(pools):
        name = at(pool, "name")
        label = f"pool {name.value}" if isinstance(name.value, str) and not name.unknown else f"pool {number + 1}"
        yield from apart(label, _pool(resource, pool, label, context))


@priced(f"{_CLUSTERS}:AgentPool")
def agent_pool(resource: Resource, context: Context) -> Iterator[Answer]:
    """The nodes of a pool."""
    yield from _pool(resource, resource.inputs, "", context)


def _pool(resource: Resource, pool: Any, label: str, context: Context) -> Iterator[Answer]:
    size = known(at(pool, "vmSize"))
    if size is None:
        raise NotKnown("vmSize is absent")
    low = high = amount(at(pool, "count"), 1)
    if is_true(known(at(pool, "enableAutoScaling"))):
        low = amount(at(pool, "minCount"), low)
        high = max(low, amount(at(pool, "maxCount")))
    nodes, assumed = context.replicas(resource, low, high)
    spot = known(at(pool, "scaleSetPriority"), "Regular") == "Spot"
    yield Use(machine(size), nodes.times(HOURS), label, assumed=assumed, spot=spot)

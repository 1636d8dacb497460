"""What Google Cloud keeps for a platform: objects, tables, images, keys, secrets and caches; and ways in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from mlinfra.policy.values import at, every, is_true
from mlinfra.prices.book import EVERYWHERE, Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import HOURS, Answer, Free, NotKnown, Use, amount, exactly, known, priced
from mlinfra.resources import Resource

DATASET = "gcp:bigquery/dataset:Dataset"
_CAPACITY = ((4, "M1"), (10, "M2"), (35, "M3"), (100, "M4"))
"""Up to how many GiB a capacity tier of Memorystore reaches; above is M5 (cloud.google.com/memorystore/docs/redis)."""


@priced("gcp:storage/bucket:Bucket")
def bucket(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is kept, by storage class."""
    storage_class = str(known(at(resource.inputs, "storageClass"), "STANDARD")).upper()
    kept, assumed = context.load(resource, "storage_gb")
    yield Use(Key("gcp", "Cloud Storage", "storage", storage_class, "GB-month"), kept, assumed=assumed)


@priced("gcp:bigquery/table:Table")
def table(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is kept, where its dataset is; views and external tables keep nothing."""
    for path in ("view", "externalDataConfiguration"):
        if known(at(resource.inputs, path)):
            yield Free(f"it keeps nothing itself ({path})")
            return
    datasets = context.refer_to(resource, "datasetId", DATASET, "datasetId")
    region = ""
    if datasets:
        region = str(known(at(datasets[0].inputs, "location"), "US")).lower()
    kept, assumed = context.load(resource, "storage_gb")
    yield Use(Key("gcp", "BigQuery", "storage", "active logical", "GB-month"), kept, assumed=assumed, region=region)


@priced("gcp:artifactregistry/repository:Repository")
def repository(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is kept."""
    kept, assumed = context.load(resource, "storage_gb")
    yield Use(Key("gcp", "Artifact Registry", "storage", "repository", "GB-month"), kept, assumed=assumed)


@priced("gcp:redis/instance:Instance")
def redis(resource: Resource, context: Context) -> Iterator[Answer]:
    """Its memory, by tier and size."""
    memory = amount(at(resource.inputs, "memorySizeGb"))
    if amount(at(resource.inputs, "replicaCount"), 0) > 1:
        raise NotKnown("several read replicas (replicaCount) are billed by node")
    tier = {"BASIC": "basic", "STANDARD_HA": "standard"}.get(str(known(at(resource.inputs, "tier"), "BASIC")))
    if tier is None:
        raise NotKnown(f"the tier {at(resource.inputs, 'tier').value} is not known here")
    capacity = next((name for most, name in _CAPACITY if memory <= most), "M5")
    yield Use(Key("gcp", "Memorystore", "redis", f"{tier} {capacity}", "GiB-hour"), exactly(memory * HOURS))


@priced("gcp:kms/cryptoKey:CryptoKey")
def crypto_key(resource: Resource, context: Context) -> Iterator[Answer]:
    """One version; each rotation adds another one."""
    level = str(known(at(resource.inputs, "versionTemplate.protectionLevel"), "SOFTWARE")).lower()
    rotates = not at(resource.inputs, "rotationPeriod").absent
    yield Use(
        Key("gcp", "Cloud KMS", "keys", f"{level} key version", "version-month"),
        exactly(1),
        assumed="one version; each rotation adds one" if rotates else "",
        region=EVERYWHERE,
    )


@priced("gcp:secretmanager/secretVersion:SecretVersion", "gcp:secretmanager/regionalSecretVersion:*")
def secret_version(resource: Resource, context: Context) -> Iterator[Answer]:
    """A version of a secret while it is enabled."""
    enabled = known(at(resource.inputs, "enabled"), True)
    if not is_true(enabled):
        yield Free("a version that is not enabled costs nothing", "https://cloud.google.com/secret-manager/pricing")
        return
    key = Key("gcp", "Secret Manager", "secrets", "active version", "version-month")
    yield Use(key, exactly(1), region=EVERYWHERE)


@priced("gcp:compute/forwardingRule:ForwardingRule", "gcp:compute/globalForwardingRule:GlobalForwardingRule")
def forwarding_rule(resource: Resource, context: Context) -> Iterator[Answer]:
    """A rule of a load balancer around the clock."""
    yield Use(Key("gcp", "Networking", "load-balancing", "forwarding rule", "hour"), exactly(HOURS))


@priced("gcp:container/nodePool:NodePool")
def node_pool(resource: Resource, context: Context) -> Iterator[Answer]:
    """The machines of a pool, in each of its zones: where a region is all that is said, in three of them."""
    machine = str(known(at(resource.inputs, "nodeConfig.machineType"), "e2-medium"))
    location = str(known(at(resource.inputs, "location"), "")).lower()
    region = re.sub(r"-[a-z]$", "", location)
    named = len(every(resource.inputs, "nodeLocations[]"))
    regional = region == location != "" and not named
    zones = Decimal(named or (3 if regional else 1))
    fixed = amount(at(resource.inputs, "nodeCount"), amount(at(resource.inputs, "initialNodeCount"), 1))
    low, high = fixed * zones, fixed * zones
    total = at(resource.inputs, "autoscaling.totalMaxNodeCount")
    if not total.absent:
        low, high, regional = amount(at(resource.inputs, "autoscaling.totalMinNodeCount"), 0), amount(total), False
    elif known(at(resource.inputs, "autoscaling")):
        low = amount(at(resource.inputs, "autoscaling.minNodeCount"), 0) * zones
        high = amount(at(resource.inputs, "autoscaling.maxNodeCount")) * zones
    nodes, assumed = context.replicas(resource, low, max(low, high))
    assumed = "; ".join(filter(None, (assumed, "three zones of its region" if regional else "")))
    spot = is_true(known(at(resource.inputs, "nodeConfig.spot")))
    key = Key("gcp", "GCE/GKE node", "compute", machine, "hour")
    yield Use(key, nodes.times(HOURS), assumed=assumed, spot=spot, region=region)
    for accelerator in every(resource.inputs, "nodeConfig.guestAccelerators[]"):
        if machine.startswith(("a2-", "a3-", "a4-", "g2-", "g4-")):
            break
        kind, count = str(known(at(accelerator, "type"))), amount(at(accelerator, "count"), 1)
        key = Key("gcp", "GCE/GKE node", "compute", kind, "hour")
        yield Use(key, nodes.times(HOURS * count), "accelerators", assumed=assumed, spot=spot, region=region)

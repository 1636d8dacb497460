"""AWS storage: buckets, images, tables, file systems, volumes, keys and secrets."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from mlinfra.policy.values import at
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import Answer, Use, amount, exactly, known, priced
from mlinfra.resources import Resource

MILLION = Decimal(1_000_000)


def _key(service: str, component: str, item: str, unit: str = "GB-month") -> Key:
    return Key("aws", service, component, item, unit)


@priced("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
def bucket(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is kept, and the requests that are stated."""
    stored, assumed = context.load(resource, "storage_gb")
    yield Use(_key("S3", "standard", "storage"), stored, assumed=assumed)
    for field, item in (("reads", "GET requests"), ("writes", "PUT requests")):
        if (count := context.stated(resource, field)) is not None:
            yield Use(_key("S3", "standard", item, "million requests"), exactly(count / MILLION), idle=False)


@priced("aws:ecr/repository:Repository")
def images(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is kept."""
    stored, assumed = context.load(resource, "storage_gb")
    yield Use(_key("ECR", "private", "storage"), stored, assumed=assumed)


@priced("aws:dynamodb/table:Table")
def table(resource: Resource, context: Context) -> Iterator[Answer]:
    """Reads and writes, or the capacity that is reserved for them, and what is kept."""
    provisioned = str(known(at(resource.inputs, "billingMode"), "PROVISIONED")) == "PROVISIONED"
    for field, item in (("reads", "read"), ("writes", "write")):
        if provisioned:
            capacity = amount(at(resource.inputs, f"{item}Capacity"), 0) * 730
            yield Use(_key("DynamoDB", "provisioned", f"{item} capacity unit", "hour"), exactly(capacity))
        else:
            load, assumed = context.load(resource, field)
            key = _key("DynamoDB", "on-demand", f"{item}s", "million requests")
            yield Use(key, load.times(1 / MILLION), idle=False, assumed=assumed)
    stored, assumed = context.load(resource, "storage_gb")
    yield Use(_key("DynamoDB", "table", "storage"), stored, assumed=assumed)


@priced("aws:efs/fileSystem:FileSystem")
def file_system(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is kept."""
    stored, assumed = context.load(resource, "storage_gb")
    yield Use(_key("EFS", "standard", "storage"), stored, assumed=assumed)


@priced("aws:ebs/volume:Volume")
def volume(resource: Resource, context: Context) -> Iterator[Answer]:
    """The size of the volume, used or not."""
    kind = known(at(resource.inputs, "type"), "gp2")
    yield Use(_key("EC2/EKS node", "storage", f"EBS {kind}"), exactly(amount(at(resource.inputs, "size"))))


@priced(
    "aws:kms/key:Key",
    "aws:kms/replicaKey:ReplicaKey",
    "aws:kms/externalKey:ExternalKey",
    "aws:kms/replicaExternalKey:ReplicaExternalKey",
)
def key(resource: Resource, context: Context) -> Iterator[Answer]:
    """The key, and the requests that are stated."""
    yield Use(_key("KMS", "key", "key", "month"), exactly(1))
    if (requests := context.stated(resource, "requests")) is not None:
        yield Use(_key("KMS", "key", "requests", "million requests"), exactly(requests / MILLION), idle=False)


@priced("aws:secretsmanager/secret:Secret")
def secret(resource: Resource, context: Context) -> Iterator[Answer]:
    """The secret."""
    yield Use(_key("Secrets Manager", "secret", "secret", "month"), exactly(1))


@priced("aws:athena/workgroup:Workgroup")
def workgroup(resource: Resource, context: Context) -> Iterator[Answer]:
    """The data that queries read."""
    scanned, assumed = context.load(resource, "data_gb")
    scan = _key("Athena", "workgroup", "data scanned", "TB")
    yield Use(scan, scanned.times(Decimal("0.001")), idle=False, assumed=assumed)

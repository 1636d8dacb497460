"""Buckets of S3 that artifacts of experiments go to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every
from mlinfra.resources import Resource
from mlinfra_policies.families.encryption.keys import said_of, without_key
from mlinfra_policies.storage import S3_BUCKETS

_ENCRYPTIONS = "aws:s3/bucketServerSideEncryptionConfiguration*:*"


@decides("ENC-10", "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer")
def artifacts_of_a_tracking_server(server: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The encryption of the artifact bucket protects what a tracking server stores."""
    uri = at(server.inputs, "artifactStoreUri")
    # What stands for an unknown value has neither scheme nor slash, and stays what it is.
    name = Value(uri.path, str(uri.value or "").removeprefix("s3://").partition("/")[0])
    buckets = inspection.referred(server, name, "bucket", *S3_BUCKETS)
    encryptions = [each for each in inspection.of(_ENCRYPTIONS) if _is_of(each, name, buckets, inspection)]
    for encryption in encryptions:
        for answer in _without_key(encryption, inspection):
            yield said_of(encryption, uri, answer)
    if encryptions:
        return
    if not buckets:
        yield unknown(uri.path, "the artifact bucket is not part of the plan")
    elif not inspection.complete or any(_is_anyones(each, inspection) for each in inspection.of(_ENCRYPTIONS)):
        yield unknown(uri.path, "nobody can say yet whether the artifact bucket is encrypted")
    else:
        remedy = "a BucketServerSideEncryptionConfiguration of the bucket, with aws:kms and a kmsMasterKeyId"
        found = f"no server-side encryption of bucket {buckets[0].name} is declared"
        yield violation(uri.path, found, remedy=remedy)


def _is_of(encryption: Resource, name: Value, buckets: Sequence[Resource], inspection: Inspection) -> bool:
    """Whether a server-side encryption is that of the bucket of this name, or of one of these buckets."""
    bucket = at(encryption.inputs, "bucket")
    if bucket.unknown:
        sources = {source.urn for source in inspection.sources(encryption, "bucket")}
        return any(each.urn in sources for each in buckets)
    return bucket.value in [name.value, *(at(each.inputs, "bucket").value for each in buckets)]


def _is_anyones(encryption: Resource, inspection: Inspection) -> bool:
    """Whether nobody can say which bucket a server-side encryption is of."""
    bucket = at(encryption.inputs, "bucket")
    return bucket.unknown and not inspection.referred(encryption, bucket, "bucket", *S3_BUCKETS)


def _without_key(encryption: Resource, inspection: Inspection) -> Iterator[Answer]:
    rules = every(encryption.inputs, "rules[]")
    for rule in rules or [at(encryption.inputs, "rules")]:
        algorithm = at(rule, "applyServerSideEncryptionByDefault.sseAlgorithm")
        key = at(rule, "applyServerSideEncryptionByDefault.kmsMasterKeyId")
        if algorithm.hidden:
            yield unknown(algorithm.path)
        elif algorithm.value not in ("aws:kms", "aws:kms:dsse"):
            yield violation(
                algorithm.path, f"is {algorithm.value or 'absent'}, not aws:kms", remedy=f"{algorithm.path}: aws:kms"
            )
        else:
            yield from without_key(key, encryption, inspection)

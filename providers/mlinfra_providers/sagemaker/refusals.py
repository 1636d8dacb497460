"""What SageMaker cannot do, with reason and way out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.part import Part
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.problems import Problem
from mlinfra_providers.refusing import Refuser, columns
from mlinfra_providers.sagemaker.network import refuse_network

RESERVED = frozenset({"is_deleted", "write_time", "api_invocation_time"})
"""Columns that a feature group adds itself (botocore: FeatureDefinition)."""
_FEATURE = re.compile(r"[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}")
_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[0-9a-zA-Z-]+")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MOST_TAGS = 40
_REFUSER = Refuser("sagemaker")


def refuse_place(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Yield (field, reason, way out) for what is missing of a place at AWS, or not written as AWS writes it."""
    if not re.fullmatch(r"\d{12}", environment.account or ""):
        yield "account", "needs the account's id, 12 digits, so that nothing is made in another", "write account: '…'"
    if not _REGION.fullmatch(environment.region or ""):
        yield "region", "needs the region", "write region: eu-west-1"
    if environment.images is None:
        yield "images", "runs containers, and none is named", "write images: {serving: …@sha256:…, training: …}"
    if environment.encryption is not None and not _KEY.fullmatch(environment.encryption.key):
        way_out = "write the whole ARN: arn:aws:kms:REGION:ACCOUNT:key/ID (aws kms describe-key)"
        yield "encryption.key", "names a key by its ARN in roles and at log groups, which take no alias", way_out
    if environment.bucket is not None and not _BUCKET.fullmatch(environment.bucket):
        yield "bucket", "takes the bare name of a bucket", "write bucket: acme-ml-data, without s3://"
    for field in ("artifacts", "state"):
        url = getattr(environment, field)
        if url is not None and field == "artifacts" and not url.startswith("s3://"):
            yield field, "reads models from S3 only", "write artifacts: s3://bucket/prefix"
        if url is not None and url.startswith("file://"):
            yield field, "cannot use what is on this machine", f"write {field}: s3://bucket/prefix"
    if len(environment.tags) > _MOST_TAGS:
        yield "tags", "has room for 50 tags, and mlinfra sets up to ten", f"write at most {_MOST_TAGS}"
    yield from refuse_network(environment)


def refuse_part(part: Part, environment: Environment) -> Iterator[Problem]:
    """Yield a problem for each value of a part that SageMaker cannot honour."""
    if isinstance(part, FeatureStore):
        yield from _feature_store(part)
    elif isinstance(part, TrainingJob):
        yield from _training_job(part)
    elif isinstance(part, Endpoint):
        yield from _endpoint(part)
    elif isinstance(part, DriftMonitor):
        yield from _drift_monitor(part)


def _feature_store(store: FeatureStore) -> Iterator[Problem]:
    for number, feature in enumerate(store.features):
        if feature.type == "bool":
            reason, way_out = "a feature group has no truth values", "declare it as int64, 0 or 1"
            yield _REFUSER.refuse(store, f"features.{number}.type", reason, feature.name, way_out)
    for path, column in columns(store).items():
        if column in RESERVED:
            yield _REFUSER.column(store, path, "a feature group adds this column itself", column)
        elif not _FEATURE.fullmatch(column):
            yield _REFUSER.column(store, path, "a feature begins and ends with a letter or a digit", column)


def _training_job(job: TrainingJob) -> Iterator[Problem]:
    from mlinfra_providers.sagemaker.training_job import PARAMETERS_LIMIT, parameters

    if (length := len(parameters(job))) > PARAMETERS_LIMIT:
        reason = f"parameters travel in a variable of at most {PARAMETERS_LIMIT} characters"
        way_out = "put them into a file beside the script"
        yield _REFUSER.refuse(job, "params", reason, f"{length} characters", way_out)


def _endpoint(endpoint: Endpoint) -> Iterator[Problem]:
    yield from _REFUSER.custom_runtime(endpoint)
    yield from _REFUSER.nothing_at_rest(
        endpoint,
        "instances of a variant do not go down to none, and a serverless endpoint is neither in a network of "
        "yours nor captured nor split between releases",
    )
    yield from _REFUSER.shadow(endpoint, "copies need a shadow variant, which this adapter does not make yet")


def _drift_monitor(monitor: DriftMonitor) -> Iterator[Problem]:
    from mlinfra_providers.sagemaker.drift_monitor import rate

    slow = "a schedule of EventBridge runs every whole minute at most"
    yield from _REFUSER.schedule(monitor, "every", monitor.every, rate, slow)
    reason = "the job has no network to post from; drift is told to the environment's SNS topic"
    yield from _REFUSER.webhook(monitor, reason)
    reason = "Model Monitor takes no new customers from July 2026 on, and has neither Jensen-Shannon nor PSI"
    yield from _REFUSER.native(monitor, reason)

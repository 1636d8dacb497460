"""The bucket and the datasets of an environment: encrypted with the team's key, closed to the public, tidied up."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.environment import Environment
from mlinfra_providers.short_names import short_name
from mlinfra_providers.vertex.naming import name

KEPT_DAYS = 365
"""How long captured requests, reports of drift and logs are kept."""
OLD_VERSIONS_DAYS = 30
_DAY_SECONDS = 24 * 3600
_DATASET_LIMIT = 1024


def bucket_name(environment: Environment) -> str:
    """Return the name of the bucket for data. Names of buckets are everybody's: the project makes it ours."""
    return environment.bucket or short_name(environment.name, "mlinfra", f"{environment.account}", limit=63)


def data_uri(environment: Environment, *steps: str) -> str:
    """Return where in the environment's bucket something lies."""
    return "/".join([f"gs://{bucket_name(environment)}", environment.name, *steps])


def job_record(environment: Environment, called: str) -> str:
    """Return the object of the bucket that holds the definition of a job."""
    return f"{environment.name}/jobs/{called}.json"


def tree_uri(environment: Environment, digest: str) -> str:
    """Return where the artifact store keeps a tree: `gs://…/trees/<digits>` (mlinfra.artifacts)."""
    return f"{(environment.artifacts or '').rstrip('/')}/trees/{digest.removeprefix('sha256:')}"


def mounted(uri: str) -> str:
    """Return where a container of a custom job finds `gs://bucket/path`: `/gcs/bucket/path`.

    https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system
    """
    return f"/gcs/{uri.removeprefix('gs://')}"


def dataset_id(environment: Environment, purpose: str) -> str:
    """Return the name of a BigQuery dataset: `prod_features`, `prod_capture`."""
    return short_name(environment.name, purpose, limit=_DATASET_LIMIT, separator="_")


def feature_table(environment: Environment, store: FeatureStore) -> str:
    """Return the table of BigQuery that holds the rows of a store: `project.dataset.table`."""
    table = name(environment.name, store, limit=_DATASET_LIMIT, separator="_")
    return f"{environment.account}.{dataset_id(environment, 'features')}.{table}"


def capture_table(environment: Environment, endpoint: Endpoint) -> str:
    """Return the table of BigQuery that Vertex AI writes requests and answers to: `project.dataset.table`."""
    table = name(environment.name, endpoint, limit=_DATASET_LIMIT, separator="_")
    return f"{environment.account}.{dataset_id(environment, 'capture')}.{table}"


def make_bucket(
    environment: Environment, key: str, labels: dict[str, str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Register the bucket, unless the environment names one."""
    if environment.bucket is not None:
        return []
    rule, action = gcp.storage.BucketLifecycleRuleArgs, gcp.storage.BucketLifecycleRuleActionArgs(type="Delete")
    condition = gcp.storage.BucketLifecycleRuleConditionArgs
    bucket = gcp.storage.Bucket(
        f"{environment.name}-data",
        name=bucket_name(environment),
        project=environment.account,
        location=(environment.region or "").upper(),
        force_destroy=False,
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        versioning=gcp.storage.BucketVersioningArgs(enabled=True),
        encryption=gcp.storage.BucketEncryptionArgs(default_kms_key_name=key),
        soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(retention_duration_seconds=7 * _DAY_SECONDS),
        lifecycle_rules=[
            rule(action=action, condition=condition(age=KEPT_DAYS, matches_prefixes=[f"{environment.name}/monitors/"])),
            rule(action=action, condition=condition(days_since_noncurrent_time=OLD_VERSIONS_DAYS)),
        ],
        labels=labels,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )
    return [bucket]


def make_dataset(
    environment: Environment, purpose: str, key: str, labels: dict[str, str], opts: pulumi.ResourceOptions
) -> gcp.bigquery.Dataset:
    """Register a dataset: `features`, which are kept for good, or `capture`, whose tables end.

    A table of captured requests ends a year after it was begun, and Vertex AI begins another one.
    """
    return gcp.bigquery.Dataset(
        f"{environment.name}-{purpose}",
        dataset_id=dataset_id(environment, purpose),
        project=environment.account,
        location=environment.region,
        description=f"mlinfra: the {purpose} of {environment.name}",
        delete_contents_on_destroy=False,
        default_encryption_configuration=gcp.bigquery.DatasetDefaultEncryptionConfigurationArgs(kms_key_name=key),
        default_table_expiration_ms=KEPT_DAYS * _DAY_SECONDS * 1000 if purpose == "capture" else None,
        labels=labels,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )

"""The bucket of an environment: versioned, encrypted with the team's key, closed to the public, and tidied up."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from mlinfra.environment import Environment
from mlinfra_providers.sagemaker.naming import arn
from mlinfra_providers.sagemaker.roles import policy
from mlinfra_providers.short_names import short_name

KEPT_DAYS = 365
"""How long captured requests and reports of drift are kept."""
OLD_VERSIONS_DAYS = 30
EXPIRING = ("capture", "monitors")


def bucket_name(environment: Environment) -> str:
    """Return the name of the bucket for data. Names of buckets are everybody's: account and region make it ours."""
    return environment.bucket or short_name(
        environment.name, "mlinfra", f"{environment.account}", f"{environment.region}", limit=63
    )


def make_bucket(
    environment: Environment, key: pulumi.Input[str], tags: dict[str, str], opts: pulumi.ResourceOptions
) -> tuple[pulumi.Input[str], Sequence[pulumi.Resource]]:
    """Register the bucket, unless the environment names one; return its name, and what it must have before its use."""
    if environment.bucket is not None:
        return environment.bucket, ()
    label = f"{environment.name}-data"
    # all of it: a bucket that stays must stay closed and encrypted
    opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True))
    bucket = aws.s3.Bucket(label, bucket=bucket_name(environment), tags=tags, opts=opts)
    made: list[pulumi.Resource] = [
        aws.s3.BucketVersioning(
            label,
            bucket=bucket.bucket,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=opts,
        ),
        aws.s3.BucketServerSideEncryptionConfiguration(
            label,
            bucket=bucket.bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=(
                        aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                            sse_algorithm="aws:kms", kms_master_key_id=key
                        )
                    ),
                    bucket_key_enabled=True,
                )
            ],
            opts=opts,
        ),
        aws.s3.BucketPublicAccessBlock(
            label,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=opts,
        ),
        aws.s3.BucketOwnershipControls(
            label,
            bucket=bucket.bucket,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=opts,
        ),
    ]
    made += [_lifecycle(environment, label, bucket, opts), _policy(environment, label, bucket, opts)]
    return bucket.bucket, made


def _lifecycle(
    environment: Environment, label: str, bucket: aws.s3.Bucket, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    rule = aws.s3.BucketLifecycleConfigurationRuleArgs
    expiring = [
        rule(
            id=f"{prefix} ends",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=f"{environment.name}/{prefix}/"),
            expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=KEPT_DAYS),
        )
        for prefix in EXPIRING
    ]
    tidy = rule(
        id="old versions end",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=OLD_VERSIONS_DAYS
        ),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=7
        ),
    )
    return aws.s3.BucketLifecycleConfiguration(label, bucket=bucket.bucket, rules=[*expiring, tidy], opts=opts)


def _policy(
    environment: Environment, label: str, bucket: aws.s3.Bucket, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """Refuse every request without TLS."""
    whole = arn(environment, "s3", bucket_name(environment))
    refused = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [whole, f"{whole}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return aws.s3.BucketPolicy(label, bucket=bucket.bucket, policy=policy([refused]), opts=opts)

"""What all parts of an environment share in its account: the key, the bucket, the network, alarms, the budget.

What the environment names is taken as it is; what it does not name is made, private and encrypted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.environment import Environment
from mlinfra.realize import Surroundings
from mlinfra_providers.sagemaker.naming import arn, partition
from mlinfra_providers.sagemaker.network import make_network
from mlinfra_providers.sagemaker.roles import Statement, allow, policy
from mlinfra_providers.sagemaker.storage import bucket_name, make_bucket
from mlinfra_providers.short_names import short_name
from mlinfra_providers.tags import owner_of_all, tags_of

TELLERS = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"]
"""The services that publish to the environment's topic, and use its key for that."""
WARNINGS = ((80.0, "ACTUAL"), (100.0, "FORECASTED"))
"""At which percentage of the budget somebody is told."""


@dataclass(frozen=True)
class Around:
    """What the parts get: `bucket` is a name, `key` the ARN of a key."""

    provider: aws.Provider
    key: pulumi.Input[str]
    bucket: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    security_groups: Sequence[pulumi.Input[str]]
    topic: pulumi.Output[str]
    using_key: Sequence[Statement]
    """What lets a role use the key."""
    made: Sequence[pulumi.Resource]
    """What must be there before anything is written: the bucket as it should be, and the database of features."""


def surround(parts: Sequence[ResolvedPart], links: Links) -> Links:
    """Register what the parts share."""
    environment = links.environment
    component = Surroundings(environment)
    tags = tags_of(environment, owner=owner_of_all(parts))
    provider = aws.Provider(
        environment.name,
        region=environment.region,
        allowed_account_ids=[environment.account or ""],
        opts=pulumi.ResourceOptions(parent=component),
    )
    opts = pulumi.ResourceOptions(parent=component, provider=provider)
    key, using_key = _key(environment, tags, opts)
    bucket, made = make_bucket(environment, key, tags, opts)
    subnets, security_groups = make_network(environment, tags, opts)
    topic = _topic(environment, key, tags, opts)
    _budget(environment, topic, tags, opts)
    around = Around(
        provider=provider,
        key=key,
        bucket=bucket,
        subnets=subnets,
        security_groups=security_groups,
        topic=topic,
        using_key=using_key,
        made=[*made, *_database(environment, parts, tags, opts)],
    )
    return replace(links, around=around)


def data_uri(environment: Environment, *steps: str) -> str:
    """Return where in the environment's bucket something lies."""
    return "/".join([f"s3://{bucket_name(environment)}", environment.name, *steps])


def database_name(environment: Environment) -> str:
    """Return the name of the Glue database of the offline feature stores."""
    return short_name(environment.name, "features", limit=255, separator="_")


def budget_name(environment: Environment) -> str:
    """Return the name of the environment's budget."""
    return short_name(environment.name, "mlinfra", limit=100)


def key_alias(environment: Environment) -> str:
    """Return the alias of the key that is made where the environment names none."""
    return f"alias/{short_name(environment.name, 'mlinfra', limit=200)}"


def tree_uri(environment: Environment, digest: str) -> str:
    """Return where the artifact store keeps a tree: `s3://…/trees/<digits>` (mlinfra.artifacts)."""
    return f"{(environment.artifacts or '').rstrip('/')}/trees/{digest.removeprefix('sha256:')}"


def key_description(environment: Environment) -> str:
    """Return what the key of the data says of itself: the state's key, of `mlinfra bootstrap`, has the same tags."""
    return f"mlinfra: the data, models and logs of {environment.name}"


def _key(
    environment: Environment, tags: dict[str, str], opts: pulumi.ResourceOptions
) -> tuple[pulumi.Input[str], list[Statement]]:
    actions = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*"]
    if environment.encryption is not None:
        return environment.encryption.key, [allow(actions, [environment.encryption.key])]
    alias = key_alias(environment)
    made = aws.kms.Key(
        f"{environment.name}-key",
        description=key_description(environment),
        enable_key_rotation=True,
        deletion_window_in_days=30,
        policy=_key_policy(environment),
        tags=tags,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )
    aws.kms.Alias(f"{environment.name}-key", name=alias, target_key_id=made.key_id, opts=opts)
    # the key's ARN is not known before it is there, its alias is: so each role's policy can be read in a plan
    named = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
    return made.arn, [allow(actions, [arn(environment, "kms", "key/*")], **named)]


def _key_policy(environment: Environment) -> str:
    """Let the account's own policies decide, and CloudWatch encrypt logs and alarms.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    uses = ["kms:Decrypt*", "kms:DescribeKey", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    context = arn(environment, "logs", "*")
    statements = [
        {
            **allow(["kms:*"], ["*"]),
            "Principal": {"AWS": f"arn:{partition(environment)}:iam::{environment.account}:root"},
        },
        {
            **allow(uses, ["*"], ArnLike={"kms:EncryptionContext:aws:logs:arn": context}),
            "Principal": {"Service": f"logs.{environment.region}.amazonaws.com"},
        },
        {
            **allow(
                ["kms:Decrypt", "kms:GenerateDataKey*"],
                ["*"],
                StringEquals={"aws:SourceAccount": environment.account},
            ),
            "Principal": {"Service": TELLERS},
        },
    ]
    return policy(statements)


def _topic(
    environment: Environment, key: pulumi.Input[str], tags: dict[str, str], opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    called = short_name(environment.name, "mlinfra-alarms", limit=256)
    topic = aws.sns.Topic(f"{environment.name}-alarms", name=called, kms_master_key_id=key, tags=tags, opts=opts)
    publishers = {
        **allow(
            ["sns:Publish"],
            [arn(environment, "sns", called)],
            StringEquals={"aws:SourceAccount": environment.account},
        ),
        "Principal": {"Service": TELLERS},
    }
    aws.sns.TopicPolicy(f"{environment.name}-alarms", arn=topic.arn, policy=policy([publishers]), opts=opts)
    return topic.arn


def _budget(
    environment: Environment, topic: pulumi.Output[str], tags: dict[str, str], opts: pulumi.ResourceOptions
) -> None:
    """Register the budget that the environment names: on what carries its tag, with two warnings."""
    if environment.budget is None:
        return
    aws.budgets.Budget(
        f"{environment.name}-budget",
        name=budget_name(environment),
        budget_type="COST",
        time_unit="MONTHLY",
        limit_amount=f"{environment.budget.monthly_usd:g}",
        limit_unit="USD",
        cost_filters=[
            aws.budgets.BudgetCostFilterArgs(name="TagKeyValue", values=[f"user:environment${tags['environment']}"])
        ],
        notifications=[
            aws.budgets.BudgetNotificationArgs(
                comparison_operator="GREATER_THAN",
                notification_type=kind,
                threshold=share,
                threshold_type="PERCENTAGE",
                subscriber_sns_topic_arns=[topic],
            )
            for share, kind in WARNINGS
        ],
        tags=tags,
        opts=opts,
    )


def _database(
    environment: Environment, parts: Sequence[ResolvedPart], tags: dict[str, str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    if not any(isinstance(part.part, FeatureStore) for part in parts):
        return []
    database = aws.glue.CatalogDatabase(
        f"{environment.name}-features",
        name=database_name(environment),
        description=f"mlinfra: the offline feature stores of {environment.name}",
        tags=tags,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )
    return [database]

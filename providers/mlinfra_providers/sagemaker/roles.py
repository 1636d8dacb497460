"""A role for each part, with the least actions that SageMaker needs to run it.

What each needs: https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html (permissions by API). Keys are
named by their alias where they are made here, so that a plan can read every policy before anything is there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.environment import Environment
from mlinfra_providers.sagemaker.naming import ROLE_LIMIT, arn, name, options, partition
from mlinfra_providers.tags import tags_of

Statement = dict[str, Any]

_INTERFACES = (
    "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission", "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
)  # fmt: skip


def allow(actions: Sequence[str], resources: Sequence[str], **condition: Any) -> Statement:
    """Return one statement of a policy."""
    made: Statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**made, "Condition": condition} if condition else made


def policy(statements: Sequence[Statement]) -> str:
    """Return a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(environment: Environment, service: str) -> str:
    """Return who may take a role: one service, for this account only (no confused deputy)."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": environment.account}},
    }
    return policy([statement])


@dataclass(frozen=True)
class PartRole:
    """The role of a part. Who takes it depends on `made`: without its policy the role can do nothing."""

    arn: pulumi.Output[str]
    made: Sequence[pulumi.Resource]


def role(
    part: ResolvedPart,
    links: Links,
    purpose: str,
    statements: Sequence[Statement],
    service: str = "sagemaker.amazonaws.com",
) -> PartRole:
    """Register the role that a service takes for a part, with a policy of its own."""
    environment = links.environment
    called = name(environment.name, part.part, purpose, limit=ROLE_LIMIT)
    made = aws.iam.Role(
        f"{part.part.name}-{purpose}",
        name=called,
        description=f"mlinfra: {part.key} in {environment.name}",
        assume_role_policy=trust(environment, service),
        tags=tags_of(environment, part),
        opts=options(links),
    )
    rights = aws.iam.RolePolicy(
        f"{part.part.name}-{purpose}",
        name=called,
        role=made.name,
        policy=policy(statements),
        opts=options(links),
    )
    return PartRole(made.arn, (made, rights))


def role_arn(part: ResolvedPart, links: Links, purpose: str) -> str:
    """Return the ARN that a part's role has, known before it is there."""
    environment = links.environment
    called = name(environment.name, part.part, purpose, limit=ROLE_LIMIT)
    return f"arn:{partition(environment)}:iam::{environment.account}:role/{called}"


def in_the_network() -> list[Statement]:
    """Allow the network interfaces that a container in a VPC needs: the actions take no narrower resource."""
    return [allow(_INTERFACES, ["*"])]


def pulling(environment: Environment, image: str) -> list[Statement]:
    """Allow one image's repository to be read; an image that is not in a private registry of AWS needs nothing."""
    host, _, repository = image.partition("@")[0].partition("/")
    account, _, rest = host.partition(".dkr.ecr.")
    if not rest:
        return []
    place = f"arn:{partition(environment)}:ecr:{rest.partition('.')[0]}:{account}"
    actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return [allow(["ecr:GetAuthorizationToken"], ["*"]), allow(actions, [f"{place}:repository/{repository}"])]


def logging(environment: Environment, group: str) -> list[Statement]:
    """Allow lines to be written to a log group and its streams."""
    groups = arn(environment, "logs", f"log-group:{group}")
    return [allow(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], [groups, f"{groups}:*"])]


def measuring(namespace: str) -> list[Statement]:
    """Allow metrics of one namespace to be written: the action takes no narrower resource."""
    condition = {"cloudwatch:namespace": namespace}
    return [allow(["cloudwatch:PutMetricData"], ["*"], StringEquals=condition)]


def reading(environment: Environment, *uris: str) -> list[Statement]:
    """Allow what lies under some `s3://bucket/prefix` to be read and listed."""
    return [statement for uri in uris for statement in _of(environment, uri, ["s3:GetObject"])]


def writing(environment: Environment, *uris: str) -> list[Statement]:
    """Allow objects to be written under some `s3://bucket/prefix`, and read again."""
    actions = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    return [statement for uri in uris for statement in _of(environment, uri, actions)]


def _of(environment: Environment, uri: str, actions: Sequence[str]) -> list[Statement]:
    bucket, _, prefix = uri.removeprefix("s3://").rstrip("/").partition("/")
    whole = arn(environment, "s3", bucket)
    inside = f"{prefix}/*" if prefix else "*"
    return [
        allow(actions, [f"{whole}/{inside}"]),
        allow(["s3:ListBucket"], [whole], StringLike={"s3:prefix": [inside]}),
        allow(["s3:GetBucketLocation"], [whole]),
    ]

"""The network that containers are in: the environment's own, or one that reaches S3 and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pulumi
import pulumi_aws as aws

from mlinfra.environment import Environment

Places = Sequence[pulumi.Input[str]]

ZONES = ("a", "b")
WITHOUT_THESE_ZONES = frozenset({"ap-northeast-1", "us-west-1"})
"""Regions in which not every account has the zones a and b."""
_RANGE = "10.64.0.0/22"
_SUBNETS = ("10.64.0.0/23", "10.64.2.0/23")


def refuse_network(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Yield (field, reason, way out) for a network that cannot be joined or made."""
    network = environment.network
    if network is None:
        if environment.region in WITHOUT_THESE_ZONES:
            zones = " and ".join(f"{environment.region}{zone}" for zone in ZONES)
            yield (
                "network",
                f"makes subnets in {zones}, which not every account has",
                "name yours: network: {vpc: vpc-…, subnets: [subnet-…, subnet-…]}",
            )
        return
    if not network.subnets:
        yield "network.subnets", "joins a network by its subnets, and none is named", "name two, in two zones"
    if network.vpc is None and not network.security_groups:
        yield (
            "network.vpc",
            "makes a security group where none is named, and needs to know in which VPC",
            "name it, or security_groups",
        )
    if network.vpc is not None and network.security_groups:
        yield (
            "network.vpc",
            "has no use for the VPC where security groups are named: they are in it",
            "remove network.vpc, or network.security_groups",
        )


def make_network(environment: Environment, tags: dict[str, str], opts: pulumi.ResourceOptions) -> tuple[Places, Places]:
    """Return subnets and security groups; what the environment does not name of them is registered."""
    network = environment.network
    if network is not None and network.security_groups:
        return network.subnets, network.security_groups
    label = environment.name
    if network is not None:
        group = _group(label, network.vpc or "", tags, opts)
        _let_out(label, group, opts, cidr_ipv4="0.0.0.0/0")
        return network.subnets, [group.id]
    vpc = aws.ec2.Vpc(
        label, cidr_block=_RANGE, enable_dns_support=True, enable_dns_hostnames=True, tags=tags, opts=opts
    )
    table = aws.ec2.RouteTable(label, vpc_id=vpc.id, tags=tags, opts=opts)
    subnets = []
    for zone, block in zip(ZONES, _SUBNETS, strict=True):
        subnet = aws.ec2.Subnet(
            f"{label}-{zone}",
            vpc_id=vpc.id,
            availability_zone=f"{environment.region}{zone}",
            cidr_block=block,
            map_public_ip_on_launch=False,
            tags=tags,
            opts=opts,
        )
        aws.ec2.RouteTableAssociation(f"{label}-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=opts)
        subnets.append(subnet.id)
    storage = aws.ec2.VpcEndpoint(
        f"{label}-s3",
        vpc_id=vpc.id,
        service_name=f"com.amazonaws.{environment.region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[table.id],
        policy=_own_account(environment),
        tags=tags,
        opts=opts,
    )
    group = _group(label, vpc.id, tags, opts)
    _let_out(label, group, opts, prefix_list_id=storage.prefix_list_id)
    return subnets, [group.id]


def _group(
    label: str, vpc: pulumi.Input[str], tags: dict[str, str], opts: pulumi.ResourceOptions
) -> aws.ec2.SecurityGroup:
    return aws.ec2.SecurityGroup(
        label,
        vpc_id=vpc,
        description="mlinfra: nothing comes in; models, data and captured requests go by HTTPS",
        tags=tags,
        opts=opts,
    )


def _let_out(
    label: str,
    group: aws.ec2.SecurityGroup,
    opts: pulumi.ResourceOptions,
    *,
    cidr_ipv4: str | None = None,
    prefix_list_id: pulumi.Input[str] | None = None,
) -> None:
    aws.vpc.SecurityGroupEgressRule(
        label,
        security_group_id=group.id,
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        cidr_ipv4=cidr_ipv4,
        prefix_list_id=prefix_list_id,
        opts=opts,
    )


def _own_account(environment: Environment) -> str:
    """Let requests through that somebody of this account makes, to whosever bucket: images come from AWS's own."""
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:PutObject"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": environment.account}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

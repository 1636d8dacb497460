"""What all kinds share when they declare: names within AWS's limits, ARNs, and the options of a resource."""

from __future__ import annotations

from typing import Any

import pulumi

from mlinfra.adapters import Links
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra_providers.short_names import short_name

SAGEMAKER_LIMIT = 63
"""Of names of models, endpoints, configurations, variants, package groups and schedules (botocore: EntityName)."""
FEATURE_GROUP_LIMIT = 64
ROLE_LIMIT = 64
PIPELINE_LIMIT = 256
SCHEDULE_LIMIT = 64
"""Of schedules and rules of EventBridge."""
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


def physical_name(part: Part) -> str:
    """Return the part's name at AWS, without the environment: a renamed part keeps the one that its data has."""
    return part.renamed_from or part.name


def name(environment: str, part: Part, *pieces: str, limit: int = SAGEMAKER_LIMIT) -> str:
    """Return the name of something of a part: `prod-flight-delay`, and with pieces `prod-flight-delay-3f9c2ab1d07e`."""
    return short_name(environment, physical_name(part), *pieces, limit=limit)


def arn(environment: Environment, service: str, resource: str) -> str:
    """Return an ARN in the environment's account and region; of a bucket without the two, as S3 has it."""
    place = ":" if service == "s3" else f"{environment.region}:{environment.account}"
    return f"arn:{partition(environment)}:{service}:{place}:{resource}"


def partition(environment: Environment) -> str:
    """Return `aws`, or the partition of China's or the US government's regions."""
    region = environment.region or ""
    return next((found for prefix, found in _PARTITIONS.items() if region.startswith(prefix)), "aws")


def options(
    links: Links, *, protect: bool = False, depends_on: Any = None, ignore_changes: list[str] | None = None
) -> pulumi.ResourceOptions:
    """Return the options of a resource of AWS: in the account and region that the environment names, in no other."""
    return pulumi.ResourceOptions(
        parent=links.parent,
        provider=links.around.provider,
        protect=protect,
        depends_on=depends_on,
        ignore_changes=ignore_changes,
    )


def place(links: Links) -> dict[str, Any]:
    """Return what a resource of the plugin needs to be sure that it writes where it should."""
    environment = links.environment
    return {"environment": environment.name, "account": environment.account, "region": environment.region}


def plugin_options(links: Links, *, depends_on: Any = None) -> pulumi.ResourceOptions:
    """Return the options of a resource of mlinfra's own plugin."""
    return pulumi.ResourceOptions(parent=links.parent, depends_on=depends_on)

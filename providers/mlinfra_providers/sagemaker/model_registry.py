"""ModelRegistry: a model package group. Its versions are registered with the releases that need them."""

from __future__ import annotations

import pulumi_aws as aws

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra_providers.sagemaker.naming import name, options
from mlinfra_providers.tags import tags_of


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the group; gives its name."""
    registry = part.part
    assert isinstance(registry, ModelRegistry)
    environment = links.environment
    called = name(environment.name, registry)
    group = aws.sagemaker.ModelPackageGroup(
        registry.name,
        model_package_group_name=called,
        # no name of today's in it: another description would replace the group
        model_package_group_description=f"The versions of {called}, registered by mlinfra with their releases",
        tags={**tags_of(environment, part), "mlinfra:trained-by": registry.trained_by.key},
        opts=options(links, protect=True),
    )
    return links.giving(part, name=called, resource=group)

"""ModelRegistry: the container that the versions of a model are registered in."""

from __future__ import annotations

from pulumi_azure_native import machinelearningservices as ml

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra_providers.azureml.naming import name, options, where
from mlinfra_providers.tags import tags_of


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the container; gives its name."""
    registry = part.part
    assert isinstance(registry, ModelRegistry)
    called = name(links.environment.name, registry)
    made = ml.ModelContainer(
        registry.name,
        name=called,
        properties=ml.ModelContainerPropertiesArgs(
            description=f"mlinfra: trained by {registry.trained_by.key} of {part.stack}",
            tags=tags_of(links.environment, part),
        ),
        opts=options(links, protect=True, depends_on=[*links.around.made]),
        **where(links),
    )
    return links.giving(part, name=called, resource=made)

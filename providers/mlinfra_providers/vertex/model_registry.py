"""ModelRegistry: the model that versions are registered under. Vertex AI makes it with its first version."""

from __future__ import annotations

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.tags import as_labels, tags_of
from mlinfra_providers.vertex.naming import name, place, plugin_options


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the model; gives its id, and what it says of itself."""
    registry = part.part
    assert isinstance(registry, ModelRegistry)
    environment = links.environment
    called = name(environment.name, registry)
    said = {
        "description": f"mlinfra: trained by {registry.trained_by.key} of {part.stack}",
        "labels": as_labels(tags_of(environment, part)),
    }
    made = PluginResource(
        "mlinfra:vertex:Model",
        registry.name,
        {
            **place(links),
            "modelId": called,
            **said,
        },
        options=plugin_options(links, protect=True),
    )
    return links.giving(part, name=called, resource=made, **said)

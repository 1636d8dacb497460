"""ModelRegistry: a registered model of MLflow. Its versions are registered with the releases that need them."""

from __future__ import annotations

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra_providers.local.naming import options, physical_name
from mlinfra_providers.plugin_resource import PluginResource


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the model; it gives its name."""
    registry = part.part
    assert isinstance(registry, ModelRegistry)
    model = PluginResource(
        "mlinfra:local:RegisteredModel",
        registry.name,
        {
            "environment": links.environment.name,
            "name": physical_name(registry),
            "trainedBy": registry.trained_by.key,
            "owner": part.owner,
        },
        options=options(links, protect=True),
    )
    return links.giving(part, name=physical_name(registry), resource=model)

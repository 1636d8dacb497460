"""The split of an endpoint between its releases: the one resource that writes weights, beside a shift."""

from __future__ import annotations

import pulumi

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.sagemaker.naming import physical_name, place, plugin_options
from mlinfra_providers.sagemaker.storage import bucket_name


def register_traffic(part: ResolvedPart, links: Links, called: str, endpoint: pulumi.Resource) -> PluginResource:
    """Register the split: all of it to the first release; whoever shifts afterwards has the last word."""
    declared, environment = part.part, links.environment
    assert isinstance(declared, Endpoint)
    releases = [deployment.release.short for deployment in part.deployments]
    return PluginResource(
        "mlinfra:sagemaker:Traffic",
        declared.name,
        {
            **place(links),
            "endpoint": called,
            "record": record_key(environment.name, physical_name(declared)),
            "bucket": bucket_name(environment),
            "variants": releases,
            "release": releases[0],
            "weights": {releases[0]: 100},
            "generation": 0,
            "rollout": declared.rollout.spec(),
            "owner": part.owner,
        },
        outputs=["url", "remembered"],
        options=plugin_options(links, depends_on=[endpoint]),
    )


def record_key(environment: str, endpoint: str) -> str:
    """Return the object of the bucket that remembers an endpoint's split and rollout."""
    return f"{environment}/endpoints/{endpoint}/traffic.json"

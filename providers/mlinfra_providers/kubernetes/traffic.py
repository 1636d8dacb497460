"""The split of an endpoint between its releases: the one resource that writes weights, beside a shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra_providers.kubernetes.labelled import SERVICE_LIMIT, name, physical_name
from mlinfra_providers.kubernetes.naming import labels, place
from mlinfra_providers.kubernetes.series import ENDPOINT
from mlinfra_providers.plugin_resource import PluginResource


def register_traffic(
    part: ResolvedPart, links: Links, services: Sequence[pulumi.Resource], serves: Mapping[str, str]
) -> PluginResource:
    """Register the split: all of it to the first release; whoever shifts afterwards has the last word.

    `serves` is what the pods of the declared release run: its change is done when they do.
    """
    declared = part.part
    assert isinstance(declared, Endpoint)
    releases = [deployment.release.short for deployment in part.deployments]
    return PluginResource(
        "mlinfra:kubernetes:Traffic",
        declared.name,
        {
            **place(links),
            "endpoint": physical_name(declared),
            "backends": {release: f"{name(declared, release, limit=SERVICE_LIMIT)}-predictor" for release in releases},
            "release": releases[0],
            "serves": dict(serves),
            "weights": {releases[0]: 100},
            "generation": 0,
            "rollout": declared.rollout.spec(),
            "owner": part.owner,
            "labels": {**labels(links.environment, part), ENDPOINT: physical_name(declared)},
        },
        outputs=["url", "remembered"],
        options=pulumi.ResourceOptions(parent=links.parent, depends_on=list(services)),
    )

"""The split of an endpoint between its releases: the one resource that writes it, beside a shift."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.environment import Environment
from mlinfra_providers.azureml.naming import physical_name, place, plugin_options
from mlinfra_providers.azureml.places import Place, records
from mlinfra_providers.plugin_resource import PluginResource


def register_traffic(
    part: ResolvedPart,
    links: Links,
    endpoint: str,
    deployed: Mapping[str, str],
    depends_on: list[pulumi.Resource],
) -> PluginResource:
    """Register the split: all of it to the first release; whoever shifts afterwards has the last word.

    The names of deployments are inputs, so that a release which was deployed anew gets its own share again.
    """
    declared, environment = part.part, links.environment
    assert isinstance(declared, Endpoint)
    releases = [deployment.release.short for deployment in part.deployments]
    record = traffic_record(environment, physical_name(declared))
    return PluginResource(
        "mlinfra:azureml:Traffic",
        declared.name,
        {
            **place(links),
            "endpointName": endpoint,
            "account": record.account,
            "container": record.container,
            "record": record.path,
            "deployed": dict(deployed),
            "release": releases[0],
            "weights": {releases[0]: 100},
            "generation": 0,
            "rollout": declared.rollout.spec(),
            "owner": part.owner,
        },
        outputs=["url", "remembered"],
        options=plugin_options(links, depends_on=depends_on),
    )


def traffic_record(environment: Environment, endpoint: str) -> Place:
    """Return the blob that remembers an endpoint's split and rollout."""
    return records(environment, "endpoints", endpoint, "traffic.json")

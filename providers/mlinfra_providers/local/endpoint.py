"""Endpoint: a model version and a server for each release, and the traffic between them."""

from __future__ import annotations

from typing import Any

import pulumi

from mlinfra.adapters import Deployment, Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.releases import Release
from mlinfra_providers.local.naming import options, physical_name
from mlinfra_providers.plugin_resource import PluginResource


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register versions, servers and traffic; gives the url, and the serving release where there is one."""
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    upstreams: dict[str, Any] = {}
    for deployment in part.deployments:
        short = deployment.release.short
        upstreams[short] = _server(endpoint, deployment, short, links).output("port")
    serving = next(iter(upstreams), None)
    traffic = PluginResource(
        "mlinfra:local:Traffic",
        endpoint.name,
        {
            "environment": links.environment.name,
            "endpoint": physical_name(endpoint),
            "upstreams": upstreams,
            "release": serving,
            "weights": {serving: 100} if serving else {},
            "generation": 0,
            "rollout": endpoint.rollout.spec(),
            "scale": endpoint.scale.spec(),
            "owner": part.owner,
        },
        outputs=["url", "record"],
        options=options(links),
    )
    release = part.deployments[0].release if part.deployments else None
    return links.giving(part, name=physical_name(endpoint), url=traffic.output("url"), release=release, traffic=traffic)


def _server(endpoint: Endpoint, deployment: Deployment, short: str, links: Links) -> PluginResource:
    release, served = deployment.release, deployment.part
    assert isinstance(served, Endpoint)
    registry = links.of(served.model)
    version = PluginResource(
        "mlinfra:local:ModelVersion",
        f"{endpoint.name}-{short}",
        {
            "environment": links.environment.name,
            "model": registry["name"],
            "release": short,
            **version_inputs(release),
            "artifacts": links.environment.artifacts,
        },
        options=options(links, depends_on=[registry["resource"]]),
    )
    return PluginResource(
        "mlinfra:local:Server",
        f"{endpoint.name}-{short}",
        {
            "environment": links.environment.name,
            "endpoint": physical_name(endpoint),
            "release": short,
            "artifact": release.identity.artifact,
            "runtime": served.runtime,
            "cpus": served.compute.cpus,
            "memoryGib": served.compute.memory_gib,
            "gpus": served.compute.gpus,
            "capturePercent": served.capture.percent if served.capture else 0,
            "artifacts": links.environment.artifacts,
        },
        outputs=["port"],
        options=pulumi.ResourceOptions.merge(
            options(links, depends_on=[version]),
            pulumi.ResourceOptions(ignore_changes=["*"] if deployment.frozen else None),
        ),
    )


def version_inputs(release: Release) -> dict[str, Any]:
    """Return what a registered version says about its release."""
    return {
        "artifact": release.identity.artifact,
        "runtime": release.identity.runtime.name,
        "runtimeVersion": release.identity.runtime.version,
        "signature": dict(release.identity.signature),
        "run": release.provenance.run,
    }

"""Endpoint: an InferenceService for each release, in Standard mode, and the route that splits requests between them.

https://kserve.github.io/website/docs/concepts. Every release serves under the same model name, or a weighted route
would answer 404. An init step brings the artifact and checks its digest. What is asked and answered is captured by
the server itself, into a claim that all pods share, and copied to the artifact store, where gates read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from mlinfra.adapters import Deployment, Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.digests import digest_json, short
from mlinfra_providers.kubernetes import watching
from mlinfra_providers.kubernetes.around import account, name_in_state
from mlinfra_providers.kubernetes.labelled import SERVICE_LIMIT, name, physical_name
from mlinfra_providers.kubernetes.naming import labels, metadata, options
from mlinfra_providers.kubernetes.network import ARTIFACTS, GATEWAYS, MONITORING, holding, named, part_policy
from mlinfra_providers.kubernetes.pods import (
    LAST_WORDS,
    SCRATCH,
    bring,
    container_security,
    empty,
    mount,
    pod_security,
    probe,
    resources,
    scratch,
    store_access,
    variables,
)
from mlinfra_providers.kubernetes.scaling import scaling
from mlinfra_providers.kubernetes.series import ENDPOINT, RELEASE, VERSION
from mlinfra_providers.kubernetes.traffic import register_traffic
from mlinfra_providers.remote.shipped import shipped_url

PORT = 8080
MODEL, CAPTURE = "/mlinfra/model", "/mlinfra/capture"
CAPTURE_GIB = 20
MODEL_GIB = 10
GRACE_SECONDS = 30
DRAIN_SECONDS = 10
"""How long a pod that goes still answers: a gateway learns of it a moment later."""


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register everything; gives the name, the claim of captured requests, and the serving release if there is one."""
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    called = physical_name(endpoint)
    owner = account(part, links, "serving")
    claim = _claim(part, links) if _captures(endpoint) else None
    selected = {ENDPOINT: called}
    peers = [named(*GATEWAYS), named(MONITORING)]
    part_policy(part, links, name_in_state(part, "serving"), selected, from_=peers, on=PORT, to=[holding(ARTIFACTS)])
    release = part.deployments[0].release if part.deployments else None
    services = {
        deployment.release.short: _service(part, deployment, owner, claim, links) for deployment in part.deployments
    }
    resource: pulumi.Resource | None = claim
    if services:
        for deployment in part.deployments:
            watching.budget(part, deployment, links)
        watching.service_monitor(part, links)
        watching.alerts(part, links)
        resource = register_traffic(part, links, list(services.values()), _serves(part, part.deployments[0], links))
    return links.giving(part, name=called, url=None, release=release, claim=claim, resource=resource)


def service_name(part: ResolvedPart, deployment: Deployment) -> str:
    """Return the name of a release's InferenceService."""
    return name(part.part, deployment.release.short, limit=SERVICE_LIMIT)


def claim_name(endpoint: Endpoint) -> str:
    """Return the claim that holds captured requests and drift reports."""
    return name(endpoint, "data")


def _captures(endpoint: Endpoint) -> bool:
    return endpoint.capture is not None and endpoint.capture.percent > 0


def _claim(part: ResolvedPart, links: Links) -> k8s.core.v1.PersistentVolumeClaim:
    """Register the claim of the cluster's default class; several pods write to it."""
    assert isinstance(part.part, Endpoint)
    return k8s.core.v1.PersistentVolumeClaim(
        name_in_state(part, "data"),
        metadata=metadata(part, links, claim_name(part.part), annotations={"pulumi.com/skipAwait": "true"}),
        spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteMany"],
            resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": f"{CAPTURE_GIB}Gi"}),
        ),
        opts=options(links, protect=True),
    )


def _service(
    part: ResolvedPart,
    deployment: Deployment,
    owner: str,
    claim: k8s.core.v1.PersistentVolumeClaim | None,
    links: Links,
) -> k8s.apiextensions.CustomResource:
    served, release = deployment.part, deployment.release
    assert isinstance(served, Endpoint)
    called = service_name(part, deployment)
    also = {ENDPOINT: physical_name(part.part), RELEASE: release.short}
    autoscaler, bounds = scaling(served.scale, links.around.namespace, physical_name(part.part), release.short)
    return k8s.apiextensions.CustomResource(
        name_in_state(part, release.short),
        api_version="serving.kserve.io/v1beta1",
        kind="InferenceService",
        metadata=metadata(
            part,
            links,
            called,
            also={**also, "networking.kserve.io/visibility": "cluster-local"},
            annotations={
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": autoscaler,
            },
        ),
        spec={
            "predictor": {
                **bounds,
                "labels": {
                    **labels(links.environment, part),
                    **also,
                    VERSION: _serves(part, deployment, links)["version"],
                },
                "serviceAccountName": owner,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": GRACE_SECONDS,
                "securityContext": pod_security(),
                "topologySpreadConstraints": [_spread(also)],
                **_pod(part, deployment, claim is not None and _captures(served), links),
            }
        },
        opts=options(
            links,
            depends_on=[links.of(served.model)["resource"], *([claim] if claim else ())],
            ignore_changes=["*"] if deployment.frozen else None,
        ),
    )


def _serves(part: ResolvedPart, deployment: Deployment, links: Links) -> dict[str, str]:
    """Return what the pods of a release run when they are as declared; what changes them changes the version."""
    served, images = deployment.part, links.environment.images
    assert isinstance(served, Endpoint)
    assert images is not None
    spec = served.spec()
    declared = [spec["compute"], spec["runtime"], spec["capture"], links.environment.artifacts]
    return {
        "artifact": deployment.release.identity.artifact,
        "image": images.serving,
        "version": short(digest_json([*declared, labels(links.environment, part)])),
    }


def _pod(part: ResolvedPart, deployment: Deployment, captures: bool, links: Links) -> dict[str, Any]:
    images, served, release = links.environment.images, deployment.part, deployment.release
    assert isinstance(served, Endpoint)
    assert images is not None
    volumes = [empty("model", MODEL_GIB), empty(SCRATCH, 2)]
    mounts = [mount("model", MODEL, read_only=True), scratch()]
    settings = {
        "MODE": "v2",
        "HOST": "0.0.0.0",
        "PORT": str(PORT),
        "NAME": physical_name(part.part),
        "RUNTIME": served.runtime,
        "MODEL_DIR": MODEL,
        "MODEL_DIGEST": release.identity.artifact,
        "RELEASE": release.short,
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    if captures and served.capture is not None:
        settings |= {"CAPTURE_DIR": CAPTURE, "CAPTURE_PERCENT": f"{served.capture.percent:g}"}
        settings |= {"CAPTURE_STORE": shipped_url(links.environment, served_as(part))}
        claimed = k8s.core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim_name(served_as(part)))
        volumes.append(k8s.core.v1.VolumeArgs(name="data", persistent_volume_claim=claimed))
        mounts.append(mount("data", CAPTURE, inside="capture"))
    server = k8s.core.v1.ContainerArgs(
        name="kserve-container",
        image=images.serving,
        env=variables({f"MLINFRA_SERVING_{key}": value for key, value in settings.items()}),
        env_from=store_access() if "CAPTURE_STORE" in settings else None,
        ports=[k8s.core.v1.ContainerPortArgs(name="http1", container_port=PORT, protocol="TCP")],
        startup_probe=probe("/v2/health/ready", PORT, failures=60),
        readiness_probe=probe("/v2/health/ready", PORT),
        liveness_probe=probe("/v2/health/live", PORT, every=10),
        resources=resources(replace(served.compute)),
        security_context=container_security(),
        termination_message_policy=LAST_WORDS,
        volume_mounts=mounts,
    )
    bringing = bring(links, images.serving, "model", release.identity.artifact, MODEL)
    return {"initContainers": [bringing], "containers": [server], "volumes": volumes}


def served_as(part: ResolvedPart) -> Endpoint:
    """Return the endpoint as it is declared today: releases share its name and claim."""
    assert isinstance(part.part, Endpoint)
    return part.part


def _spread(selected: Mapping[str, str]) -> k8s.core.v1.TopologySpreadConstraintArgs:
    """Keep replicas of a release on several nodes where there are some."""
    return k8s.core.v1.TopologySpreadConstraintArgs(
        max_skew=1,
        topology_key="kubernetes.io/hostname",
        when_unsatisfiable="ScheduleAnyway",
        label_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=dict(selected)),
    )

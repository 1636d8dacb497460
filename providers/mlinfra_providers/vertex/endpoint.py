"""Endpoint: a private endpoint, a version and a deployed model for each release, its address, and its traffic."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_gcp as gcp

from mlinfra.adapters import Deployment, Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.digests import canonical_json, digest_json, short
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.tags import as_labels, tags_of
from mlinfra_providers.vertex import watching
from mlinfra_providers.vertex.machines import machine, machine_spec
from mlinfra_providers.vertex.naming import (
    account_email,
    endpoint_id,
    name,
    number,
    options,
    physical_name,
    place,
    plugin_options,
)
from mlinfra_providers.vertex.roles import account
from mlinfra_providers.vertex.storage import capture_table, tree_uri
from mlinfra_providers.vertex.traffic import register_traffic

REQUESTS = "aiplatform.googleapis.com/prediction/online/request_count"
"""Requests a minute and replica, as a metric of autoscaling (protobuf: AutoscalingMetricSpec)."""
_PORT = 8080
_DIGITS = 8


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register everything; gives the id, and with a release: that, the url, the ids of what is deployed, and the share
    that is captured. A drift monitor names the endpoint without what this environment overrides.
    """
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    environment, around = links.environment, links.around
    id_ = endpoint_id(environment.name, physical_name(endpoint))
    artifacts = [tree_uri(environment, item.release.identity.artifact) for item in part.deployments]
    granted = account(part, links, "endpoint", reads=artifacts)
    made = gcp.vertex.AiEndpoint(
        endpoint.name,
        name=id_,
        display_name=name(environment.name, endpoint),
        description=f"mlinfra: {part.stack}",
        project=environment.account,
        location=environment.region or "",
        region=environment.region,
        private_service_connect_config=gcp.vertex.AiEndpointPrivateServiceConnectConfigArgs(
            enable_private_service_connect=True, project_allowlists=[environment.account or ""]
        ),
        encryption_spec=gcp.vertex.AiEndpointEncryptionSpecArgs(kms_key_name=around.key),
        predict_request_response_logging_config=_capture(endpoint, links),
        labels=as_labels(tags_of(environment, part)),
        opts=options(links, depends_on=[*around.made]),
    )
    watching.alarm(part, links, id_)
    watching.dashboard(part, links, id_)
    if not part.deployments:
        return links.giving(part, name=id_, url=None, release=None, resource=made)
    deployed = {item.release.short: _deploy(part, item, id_, links, [made, *granted]) for item in part.deployments}
    address = _address(part, links, next(iter(deployed.values())))
    ids = {release: item.output("deployedId") for release, item in deployed.items()}
    traffic = register_traffic(part, links, id_, ids, address)
    release = part.deployments[0].release
    return links.giving(
        part,
        name=id_,
        url=traffic.output("url"),
        release=release,
        deployed=ids,
        captured=endpoint.capture.percent / 100 if endpoint.capture else 0,
        resource=traffic,
    )


def _capture(endpoint: Endpoint, links: Links) -> gcp.vertex.AiEndpointPredictRequestResponseLoggingConfigArgs | None:
    if endpoint.capture is None or endpoint.capture.percent == 0:
        return None
    destination = gcp.vertex.AiEndpointPredictRequestResponseLoggingConfigBigqueryDestinationArgs
    return gcp.vertex.AiEndpointPredictRequestResponseLoggingConfigArgs(
        enabled=True,
        sampling_rate=endpoint.capture.percent / 100,
        bigquery_destination=destination(output_uri=f"bq://{capture_table(links.environment, endpoint)}"),
    )


def _deploy(
    part: ResolvedPart, deployment: Deployment, id_: str, links: Links, depends_on: list[pulumi.Resource]
) -> PluginResource:
    """Register a release: its version of the model, and what serves it.

    The id is made of the release and of all that cannot be changed in place: what must be made anew is made beside.
    """
    environment, served = links.environment, deployment.part
    assert isinstance(served, Endpoint)
    frozen = ["*"] if deployment.frozen else None
    label = f"{part.part.name}-{deployment.release.short}"
    registered = _version(part, deployment, links)
    version = PluginResource(
        "mlinfra:vertex:ModelVersion",
        label,
        {**place(links), **registered},
        outputs=["model", "versionId"],
        options=plugin_options(links, depends_on=[links.of(served.model)["resource"]], ignore_changes=frozen),
    )
    spec = machine_spec(machine(served.compute))
    content = canonical_json([spec, registered["alias"]]).decode()
    declared = {
        **place(links),
        "region": environment.region,
        "endpoint": id_,
        "deployedModelId": number("deployed", id_, deployment.release.short, content),
        "release": deployment.release.short,
        "dedicatedResources": {"machineSpec": spec, **_replicas(served)},
        "needs": served.compute.spec(),
        "serviceAccount": account_email(environment, part.part, "endpoint"),
    }
    return PluginResource(
        "mlinfra:vertex:DeployedModel",
        label,
        {**declared, "model": version.output("model"), "modelVersionId": version.output("versionId")},
        outputs=["deployedId", "serviceAttachment"],
        # the version of a frozen release is frozen itself: another one was deployed by hand, and is put back
        options=plugin_options(links, depends_on=depends_on, ignore_changes=sorted(declared) if frozen else None),
    )


def _replicas(served: Endpoint) -> dict[str, Any]:
    """Return the bounds, and from how many requests a minute on a replica is added: all that changes in place."""
    scale: dict[str, Any] = {"minReplicaCount": served.scale.min, "maxReplicaCount": served.scale.max}
    if served.scale.target_rps is not None:
        target = round(served.scale.target_rps * 60)
        scale["autoscalingMetricSpecs"] = [{"metricName": REQUESTS, "target": target}]
    return scale


def _version(part: ResolvedPart, deployment: Deployment, links: Links) -> dict[str, Any]:
    environment, release, served = links.environment, deployment.release, deployment.part
    assert environment.images is not None
    assert isinstance(served, Endpoint)
    settings = {
        "MLINFRA_SERVING_MODE": "vertex",
        "MLINFRA_SERVING_NAME": name(environment.name, part.part),
        "MLINFRA_SERVING_RUNTIME": served.runtime,
        "MLINFRA_SERVING_MODEL_DIGEST": release.identity.artifact,
        "MLINFRA_SERVING_RELEASE": release.short,
    }
    container = {
        "imageUri": environment.images.serving,
        "env": [{"name": key, "value": value} for key, value in settings.items()],
        "ports": [{"containerPort": _PORT}],
        "predictRoute": "/predict",
        "healthRoute": "/health",
    }
    content = {
        "modelId": links.of(served.model)["name"],
        "artifactUri": tree_uri(environment, release.identity.artifact),
        "containerSpec": container,
        "description": (
            f"release {release.short}: {release.identity.artifact}, {release.identity.runtime.name} "
            f"{release.identity.runtime.version}, made by {release.provenance.run}"
        ),
        "kmsKeyName": links.around.key,
        "serviceAccount": account_email(environment, part.part, "endpoint"),
    }
    return {
        **content,
        "artifact": release.identity.artifact,
        "release": release.short,
        "alias": f"release-{release.short}-{short(digest_json(content))[:_DIGITS]}",
        # the first version makes the model, which then says what it is declared to say
        "modelDescription": links.of(served.model)["description"],
        "labels": links.of(served.model)["labels"],
    }


def _address(part: ResolvedPart, links: Links, deployed: PluginResource) -> pulumi.Output[str]:
    """Register the address of the endpoint inside the network, and the way from there to Vertex AI."""
    environment, network = links.environment, links.around.network
    called = name(environment.name, part.part)
    address = gcp.compute.Address(
        part.part.name,
        name=called,
        project=environment.account,
        region=environment.region,
        subnetwork=network.subnet,
        address_type="INTERNAL",
        description="mlinfra: requests to an endpoint",
        opts=options(links, depends_on=[*links.around.made]),
    )
    gcp.compute.ForwardingRule(
        part.part.name,
        name=called,
        project=environment.account,
        region=environment.region,
        network=network.network,
        ip_address=address.self_link,
        load_balancing_scheme="",
        target=deployed.output("serviceAttachment"),
        labels=as_labels(tags_of(environment, part)),
        opts=options(links),
    )
    return address.address

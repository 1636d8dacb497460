"""Endpoint: a private endpoint, a version and a deployment for each release with its autoscaling, and its traffic.

The server brings the release's tree from the store of models itself, under the endpoint's identity, and checks its
digest before it loads anything: a registry of Azure would be another copy. The version in the workspace's registry
says what is deployed. https://learn.microsoft.com/azure/machine-learning/how-to-deploy-custom-container

What is asked and answered is captured twice. The server brings it to the store of models, where gates and drift
monitors read it. Azure ML's own collector keeps the record that rules ask for in production, in the environment's
private account, under its key and for a year; CI reaches no private account, and could not judge by it.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_azure_native import machinelearningservices as ml
from pulumi_azure_native import managedidentity

from mlinfra.adapters import Deployment, Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.digests import digest_json, short
from mlinfra_providers.azureml import watching
from mlinfra_providers.azureml.machines import machine
from mlinfra_providers.azureml.naming import (
    endpoint_name,
    identity_id,
    name,
    options,
    physical_name,
    plugin_options,
    where,
    workspace_id,
    workspace_name,
)
from mlinfra_providers.azureml.places import abfs, captured, datastore, tree
from mlinfra_providers.azureml.roles import identity
from mlinfra_providers.azureml.scaling import autoscale
from mlinfra_providers.azureml.traffic import register_traffic
from mlinfra_providers.azureml.workspace import environment_id
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.remote.shipped import shipped_url
from mlinfra_providers.tags import tags_of

COLLECTED = ("request", "response", "model_inputs", "model_outputs")
"""Azure ML writes the first two of any container; its own monitors, and rules, look for the others."""
_DIGITS = 6


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register everything; gives the name, the url, and the serving release where there is one."""
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    environment = links.environment
    called = endpoint_name(environment, physical_name(endpoint))
    artifacts = [tree(environment, item.release.identity.artifact) for item in part.deployments]
    written = [captured(environment, endpoint)] if any(_percent(item.part) for item in part.deployments) else []
    owner, granted = identity(part, links, "endpoint", reads=artifacts, writes=written)
    made = PluginResource(
        "mlinfra:azureml:OnlineEndpoint",
        endpoint.name,
        {
            "environment": environment.name,
            "subscriptionId": environment.account,
            "resourceGroupName": environment.resource_group,
            "workspaceName": workspace_name(environment),
            "endpointName": called,
            "location": environment.region,
            "kind": "Managed",
            "identity": {
                "type": "UserAssigned",
                "userAssignedIdentities": [identity_id(environment, endpoint, "endpoint")],
            },
            "properties": {
                "authMode": "AADToken",
                "publicNetworkAccess": "Disabled",
                "description": f"mlinfra: {name(environment.name, endpoint)} of {part.stack}",
            },
            "tags": tags_of(environment, part),
        },
        outputs=["scoringUri"],
        options=plugin_options(links, depends_on=[*granted, *links.around.made]),
    )
    watching.watch(part, links, called, made)
    if not part.deployments:
        return links.giving(part, name=called, url=None, release=None, resource=made)
    deployed: dict[str, str] = {}
    resources: list[pulumi.Resource] = []
    for item in part.deployments:
        deployed[item.release.short], resource = _deploy(part, item, called, owner, links, [made, *granted])
        resources.append(resource)
    traffic = register_traffic(part, links, called, deployed, resources)
    release = part.deployments[0].release
    return links.giving(part, name=called, url=traffic.output("url"), release=release, resource=traffic)


def endpoint_id(links: Links, called: str) -> str:
    """Return the id of an endpoint."""
    return f"{workspace_id(links.environment)}/onlineEndpoints/{called}"


def _deploy(
    part: ResolvedPart,
    deployment: Deployment,
    called: str,
    owner: managedidentity.UserAssignedIdentity,
    links: Links,
    depends_on: list[pulumi.Resource],
) -> tuple[str, pulumi.Resource]:
    """Register a release: its version of the model, what serves it, and how it grows.

    The name is made of the release and of what cannot be changed in place: what must be made anew is made beside.
    """
    environment, served = links.environment, deployment.part
    assert isinstance(served, Endpoint)
    release, frozen = deployment.release, ["*"] if deployment.frozen else []
    instance, runs = machine(served.compute).name, environment_id(environment, "serving")
    deployed = f"r{release.short}-{short(digest_json([instance, served.runtime]))[:_DIGITS]}"
    version = _version(part, deployment, links)
    made = ml.OnlineDeployment(
        f"{part.part.name}-{release.short}",
        deployment_name=deployed,
        endpoint_name=called,
        location=environment.region,
        kind="Managed",
        sku=ml.SkuArgs(name="Default", capacity=max(1, served.scale.min)),
        identity=ml.ManagedServiceIdentityArgs(
            type="UserAssigned", user_assigned_identities=[identity_id(environment, part.part, "endpoint")]
        ),
        properties=ml.ManagedOnlineDeploymentArgs(
            endpoint_compute_type="Managed",
            description=f"mlinfra: release {release.short}",
            environment_id=runs,
            environment_variables={
                "AZURE_CLIENT_ID": owner.client_id,
                "AZURE_STORAGE_ANON": "false",
                "MLINFRA_SERVING_MODE": "azureml",
                "MLINFRA_SERVING_NAME": name(environment.name, part.part),
                "MLINFRA_SERVING_RUNTIME": served.runtime,
                "MLINFRA_SERVING_MODEL_DIR": abfs(tree(environment, release.identity.artifact)),
                "MLINFRA_SERVING_MODEL_DIGEST": release.identity.artifact,
                "MLINFRA_SERVING_RELEASE": release.short,
                **_shipped(part, served, links),
            },
            instance_type=instance,
            app_insights_enabled=True,
            data_collector=_collected(served),
            liveness_probe=_probe(failures=6),
            readiness_probe=_probe(failures=3),
            request_settings=ml.OnlineRequestSettingsArgs(
                max_concurrent_requests_per_instance=16, request_timeout="PT30S"
            ),
            properties={"mlinfra.needs": f"{served.compute.spec()}"},
        ),
        tags={**tags_of(environment, part), "release": release.short},
        opts=options(
            links,
            depends_on=[*depends_on, version],
            # autoscaling adds instances and takes them away
            ignore_changes=frozen or (["sku"] if served.scale.target_rps is not None else None),
        ),
        **where(links),
    )
    if served.scale.target_rps is not None:
        autoscale(part, links, served.scale, deployed, endpoint_id(links, called), made, frozen)
    return deployed, made


def _percent(served: Part) -> float:
    """Return the share of requests that is captured."""
    assert isinstance(served, Endpoint)
    return served.capture.percent if served.capture is not None else 0


def _shipped(part: ResolvedPart, served: Endpoint, links: Links) -> dict[str, str]:
    """Return what lets the server bring what it captures to the store of models, from no folder that it must find."""
    assert isinstance(part.part, Endpoint)
    if not (percent := _percent(served)):
        return {}
    return {
        "MLINFRA_SERVING_CAPTURE_PERCENT": f"{percent:g}",
        "MLINFRA_SERVING_CAPTURE_STORE": shipped_url(links.environment, part.part),
    }


def _collected(served: Endpoint) -> ml.DataCollectorArgs | None:
    """Return what is kept of requests and answers: a share of them, in a file for each hour."""
    if not (rate := _percent(served) / 100):
        return None
    return ml.DataCollectorArgs(
        collections={kind: ml.CollectionArgs(data_collection_mode="Enabled", sampling_rate=rate) for kind in COLLECTED},
        rolling_rate="Hour",
    )


def _probe(*, failures: int) -> ml.ProbeSettingsArgs:
    return ml.ProbeSettingsArgs(
        initial_delay="PT30S", period="PT10S", timeout="PT5S", failure_threshold=failures, success_threshold=1
    )


def _version(part: ResolvedPart, deployment: Deployment, links: Links) -> ml.ModelVersion:
    """Register the version. It goes with the release, which may come back: the provider makes nothing that is there."""
    release, environment, served = deployment.release, links.environment, deployment.part
    assert isinstance(served, Endpoint)
    registry = links.of(served.model)
    content: dict[str, Any] = {
        "artifact": release.identity.artifact,
        "runtime": f"{release.identity.runtime.name} {release.identity.runtime.version}",
        "run": release.provenance.run,
        "release": release.short,
    }
    return ml.ModelVersion(
        f"{part.part.name}-{release.short}",
        name=registry["name"],
        version=f"{release.short}-{short(digest_json([physical_name(part.part)]))[:_DIGITS]}",
        properties=ml.ModelVersionPropertiesArgs(
            description=f"mlinfra: release {release.short} of {part.key}",
            model_type="custom_model",
            model_uri=datastore(environment, tree(environment, release.identity.artifact)),
            stage="Production",
            properties={key: str(value) for key, value in content.items()},
            tags=tags_of(environment, part),
        ),
        opts=options(
            links,
            depends_on=[registry["resource"]],
            ignore_changes=["*"] if deployment.frozen else None,
        ),
        **where(links),
    )

"""Endpoint: a model for each release, one configuration named by its content, the endpoint, and its traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws

from mlinfra.adapters import Deployment, Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.digests import digest_json, short
from mlinfra_providers.plugin_resource import PluginResource
from mlinfra_providers.sagemaker import scaling, watching
from mlinfra_providers.sagemaker.around import data_uri, tree_uri
from mlinfra_providers.sagemaker.machines import machine
from mlinfra_providers.sagemaker.naming import name, options, physical_name, place, plugin_options
from mlinfra_providers.sagemaker.roles import (
    PartRole,
    in_the_network,
    logging,
    measuring,
    pulling,
    reading,
    role,
    writing,
)
from mlinfra_providers.sagemaker.traffic import register_traffic
from mlinfra_providers.tags import tags_of

_DIGITS = 8


@dataclass(frozen=True)
class _Model:
    """A registered model, and the name that is declared for it (of a frozen one it may have had another)."""

    name: str
    resource: aws.sagemaker.Model


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register everything; gives the name, the url, and the serving release where there is one."""
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    called = name(links.environment.name, endpoint)
    owner = _role(part, links, called)
    logs = watching.log_group(part, links, called)
    release = part.deployments[0].release if part.deployments else None
    if release is None:
        # there is no endpoint without a model: SageMaker has no empty one
        return links.giving(part, name=called, url=None, release=None, resource=logs)
    models = [_model(part, deployment, owner, links) for deployment in part.deployments]
    configuration = _configuration(part, links, models)
    alarms = watching.alarms(part, links, called)
    made = PluginResource(
        "mlinfra:sagemaker:Endpoint",
        endpoint.name,
        {
            **place(links),
            "name": called,
            "endpointConfigName": configuration.name,
            "bySteps": _by_steps(endpoint),
            "deploymentConfig": watching.guard(alarms),
            "instances": {
                deployment.release.short: [_served(deployment).scale.min, _served(deployment).scale.max]
                for deployment in part.deployments
            },
            "tags": tags_of(links.environment, part),
        },
        outputs=["arn"],
        options=plugin_options(links, depends_on=[configuration, logs, *alarms]),
    )
    scaling.register(part, links, called, made)
    traffic = register_traffic(part, links, called, made)
    watching.dashboard(part, links, called)
    return links.giving(part, name=called, url=traffic.output("url"), release=release, resource=traffic)


def _by_steps(endpoint: Endpoint) -> bool:
    return list(endpoint.rollout.steps) != [100] or bool(endpoint.rollout.gates)


def _role(part: ResolvedPart, links: Links, called: str) -> PartRole:
    endpoint, environment, around = part.part, links.environment, links.around
    assert isinstance(endpoint, Endpoint)
    assert environment.images is not None
    artifacts = [tree_uri(environment, item.release.identity.artifact) for item in part.deployments]
    return role(
        part,
        links,
        "endpoint",
        [
            *reading(environment, *artifacts),
            *writing(environment, capture_uri(endpoint, links)),
            *around.using_key,
            *pulling(environment, environment.images.serving),
            *logging(environment, watching.group_name(called)),
            *measuring("/aws/sagemaker/Endpoints"),
            *in_the_network(),
        ],
    )


def _model(part: ResolvedPart, deployment: Deployment, owner: PartRole, links: Links) -> _Model:
    """Register a release: its version in the registry, and the model that serves it, alone in the network."""
    environment, around = links.environment, links.around
    assert environment.images is not None
    served, release = _served(deployment), deployment.release
    registry = links.of(served.model)
    label = f"{part.part.name}-{release.short}"
    container = {
        "image": environment.images.serving,
        "modelData": tree_uri(environment, release.identity.artifact) + "/",
    }
    version = PluginResource(
        "mlinfra:sagemaker:ModelVersion",
        label,
        {
            **place(links),
            "modelPackageGroupName": registry["name"],
            "release": release.short,
            "artifact": release.identity.artifact,
            "runtime": release.identity.runtime.name,
            "runtimeVersion": release.identity.runtime.version,
            "run": release.provenance.run,
            "modelApprovalStatus": "Approved",
            **container,
        },
        outputs=["arn"],
        options=plugin_options(links, depends_on=[registry["resource"]]),
    )
    settings = {
        "MLINFRA_SERVING_MODE": "sagemaker",
        "MLINFRA_SERVING_NAME": name(environment.name, part.part),
        "MLINFRA_SERVING_RUNTIME": served.runtime,
        "MLINFRA_SERVING_MODEL_DIGEST": release.identity.artifact,
        "MLINFRA_SERVING_RELEASE": release.short,
    }
    content = short(digest_json({**container, "settings": settings}))[:_DIGITS]
    called = name(environment.name, part.part, release.short, content)
    model = aws.sagemaker.Model(
        label,
        name=called,
        execution_role_arn=owner.arn,
        enable_network_isolation=True,
        primary_container=aws.sagemaker.ModelPrimaryContainerArgs(
            model_package_name=version.output("arn"), environment=settings
        ),
        vpc_config=aws.sagemaker.ModelVpcConfigArgs(
            subnets=list(around.subnets), security_group_ids=list(around.security_groups)
        ),
        tags=tags_of(environment, part),
        opts=options(links, depends_on=[*owner.made, version], ignore_changes=["*"] if deployment.frozen else None),
    )
    return _Model(called, model)


def _configuration(part: ResolvedPart, links: Links, models: list[_Model]) -> aws.sagemaker.EndpointConfiguration:
    """Register the configuration under a name made of its content: another content is another configuration.

    So the new one is there before the endpoint changes, and the old one goes when nothing uses it any more. A variant
    is called like its release; a new one begins without a share, and whoever served goes on.
    """
    environment, around = links.environment, links.around
    endpoint = part.part
    assert isinstance(endpoint, Endpoint)
    serves_already = part.deployments[-1]
    variants: list[dict[str, Any]] = [
        {
            "variant_name": deployment.release.short,
            "instance_type": machine(_served(deployment).compute).name,
            "initial_instance_count": _served(deployment).scale.min,
            "initial_variant_weight": 1.0 if deployment is serves_already else 0.0,
        }
        for deployment in part.deployments
    ]
    content = {
        "models": [model.name for model in models],
        "variants": variants,
        "capture": endpoint.capture.spec() if endpoint.capture else None,
        "key": environment.encryption.key if environment.encryption else None,
        "bucket": environment.bucket,
    }
    digits = short(digest_json(content))[:_DIGITS]
    return aws.sagemaker.EndpointConfiguration(
        f"{endpoint.name}-{digits}",
        name=name(environment.name, endpoint, digits),
        kms_key_arn=around.key,
        production_variants=[
            aws.sagemaker.EndpointConfigurationProductionVariantArgs(model_name=model.resource.name, **variant)
            for model, variant in zip(models, variants, strict=True)
        ],
        data_capture_config=_capture(endpoint, links),
        tags={**tags_of(environment, part), "mlinfra:needs": _needs(endpoint.compute)},
        opts=options(links, depends_on=[*around.made]),
    )


def _capture(endpoint: Endpoint, links: Links) -> aws.sagemaker.EndpointConfigurationDataCaptureConfigArgs | None:
    if endpoint.capture is None or endpoint.capture.percent == 0:
        return None
    mode = aws.sagemaker.EndpointConfigurationDataCaptureConfigCaptureOptionArgs
    return aws.sagemaker.EndpointConfigurationDataCaptureConfigArgs(
        enable_capture=True,
        initial_sampling_percentage=endpoint.capture.percent,
        destination_s3_uri=capture_uri(endpoint, links),
        kms_key_id=links.around.key,
        capture_options=[mode(capture_mode="Input"), mode(capture_mode="Output")],
        capture_content_type_header=aws.sagemaker.EndpointConfigurationDataCaptureConfigCaptureContentTypeHeaderArgs(
            csv_content_types=["text/csv"], json_content_types=["application/json"]
        ),
    )


def capture_uri(endpoint: Endpoint, links: Links) -> str:
    """Return where captured requests are kept: `…/<endpoint>/<variant>/yyyy/mm/dd/hh/….jsonl` by SageMaker."""
    return data_uri(links.environment, "capture", physical_name(endpoint))


def _needs(need: Compute) -> str:
    """Return why the machine is what it is: there may be none smaller."""
    return f"{need.cpus} CPUs {need.memory_gib:g} GiB {need.gpus} GPUs"


def _served(deployment: Deployment) -> Endpoint:
    assert isinstance(deployment.part, Endpoint)
    return deployment.part

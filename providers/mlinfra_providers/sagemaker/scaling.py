"""How many instances each variant has: Application Auto Scaling, by requests an instance and minute.

https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling.html
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra_providers.sagemaker.naming import name, options
from mlinfra_providers.sagemaker.resources.variant_scaling import DIMENSION, NAMESPACE, resource_id
from mlinfra_providers.tags import tags_of

METRIC = "SageMakerVariantInvocationsPerInstance"
SCALE_IN_SECONDS, SCALE_OUT_SECONDS = 300, 60


def register(part: ResolvedPart, links: Links, called: str, endpoint: pulumi.Resource) -> None:
    """Register the bounds of each variant and, where it says when to add an instance, its policy."""
    for deployment in part.deployments:
        served, variant = deployment.part, deployment.release.short
        assert isinstance(served, Endpoint)
        label = f"{part.part.name}-{variant}"
        target = aws.appautoscaling.Target(
            label,
            service_namespace=NAMESPACE,
            scalable_dimension=DIMENSION,
            resource_id=resource_id(called, variant),
            min_capacity=served.scale.min,
            max_capacity=served.scale.max,
            tags=tags_of(links.environment, part),
            opts=options(links, depends_on=[endpoint]),
        )
        if served.scale.target_rps is None:
            continue
        metric = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs
        aws.appautoscaling.Policy(
            label,
            name=name(links.environment.name, part.part, variant, limit=256),
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration=(
                aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                    target_value=served.scale.target_rps * 60,
                    predefined_metric_specification=metric(predefined_metric_type=METRIC),
                    scale_in_cooldown=SCALE_IN_SECONDS,
                    scale_out_cooldown=SCALE_OUT_SECONDS,
                )
            ),
            opts=options(links, depends_on=[target]),
        )

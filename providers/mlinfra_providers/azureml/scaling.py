"""Autoscaling of a deployment, by Azure Monitor: an instance is added for so many requests a minute to each.

https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints; metrics:
https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-onlineendpoints-metrics
"""

from __future__ import annotations

import pulumi
from pulumi_azure_native import machinelearningservices as ml
from pulumi_azure_native import monitor

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.endpoint import Scale
from mlinfra_providers.azureml.naming import name, options
from mlinfra_providers.tags import tags_of

REQUESTS = "RequestsPerMinute"
SHRINK_BELOW = 0.6
"""The share of the target below which an instance goes: far enough from it that none comes back at once."""


def autoscale(
    part: ResolvedPart,
    links: Links,
    scale: Scale,
    deployed: str,
    endpoint: str,
    deployment: ml.OnlineDeployment,
    frozen: list[str],
) -> None:
    """Register the setting of one deployment."""
    assert scale.target_rps is not None
    environment, target = links.environment, scale.target_rps * 60
    called = name(environment.name, part.part, deployed, limit=255)
    monitor.AutoscaleSetting(
        f"{part.part.name}-{deployed.partition('-')[0].removeprefix('r')}",
        autoscale_setting_name=called,
        name=called,
        resource_group_name=environment.resource_group or "",
        location=environment.region,
        enabled=True,
        target_resource_uri=deployment.id,
        profiles=[
            monitor.AutoscaleProfileArgs(
                name="requests",
                capacity=monitor.ScaleCapacityArgs(
                    minimum=str(scale.min), maximum=str(scale.max), default=str(scale.min)
                ),
                rules=[
                    _rule(endpoint, deployed, target, grow=True),
                    _rule(endpoint, deployed, target * SHRINK_BELOW, grow=False),
                ],
            )
        ],
        tags=tags_of(environment, part),
        opts=pulumi.ResourceOptions.merge(
            options(links), pulumi.ResourceOptions(depends_on=[deployment], ignore_changes=frozen)
        ),
    )


def _rule(endpoint: str, deployed: str, threshold: float, *, grow: bool) -> monitor.ScaleRuleArgs:
    compared = monitor.ComparisonOperationType
    return monitor.ScaleRuleArgs(
        metric_trigger=monitor.MetricTriggerArgs(
            metric_name=REQUESTS,
            metric_namespace="microsoft.machinelearningservices/workspaces/onlineendpoints",
            metric_resource_uri=endpoint,
            dimensions=[
                monitor.ScaleRuleMetricDimensionArgs(dimension_name="deployment", operator="Equals", values=[deployed])
            ],
            divide_per_instance=True,
            time_grain="PT1M",
            time_window="PT5M",
            statistic=monitor.MetricStatisticType.AVERAGE,
            time_aggregation=monitor.TimeAggregationType.AVERAGE,
            operator=compared.GREATER_THAN if grow else compared.LESS_THAN,
            threshold=threshold,
        ),
        scale_action=monitor.ScaleActionArgs(
            direction=monitor.ScaleDirection.INCREASE if grow else monitor.ScaleDirection.DECREASE,
            type=monitor.ScaleType.CHANGE_COUNT,
            value="1",
            cooldown="PT5M",
        ),
    )

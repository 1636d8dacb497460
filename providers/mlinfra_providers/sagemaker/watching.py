"""What watches an endpoint: its logs, an alarm on each release's errors, and a dashboard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pulumi_aws as aws

from mlinfra.adapters import Links, ResolvedPart
from mlinfra_providers.sagemaker.naming import name, options
from mlinfra_providers.sagemaker.storage import KEPT_DAYS
from mlinfra_providers.tags import tags_of

NAMESPACE = "AWS/SageMaker"
FAILING_SHARE = 0.05
"""The share of requests answered by 5xx above which somebody is told, and an update of the endpoint goes back."""
MINUTES = 5


def group_name(endpoint: str) -> str:
    """Return the log group that SageMaker writes an endpoint's lines to."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def log_group(part: ResolvedPart, links: Links, endpoint: str) -> aws.cloudwatch.LogGroup:
    """Register the group, so that it is encrypted and its lines end."""
    return aws.cloudwatch.LogGroup(
        part.part.name,
        name=group_name(endpoint),
        retention_in_days=KEPT_DAYS,
        kms_key_id=links.around.key,
        tags=tags_of(links.environment, part),
        opts=options(links),
    )


def alarms(part: ResolvedPart, links: Links, endpoint: str) -> list[aws.cloudwatch.MetricAlarm]:
    """Register an alarm for each release."""
    return [_alarm(part, links, endpoint, deployment.release.short) for deployment in part.deployments]


def guard(ringing: Sequence[aws.cloudwatch.MetricAlarm]) -> dict[str, Any]:
    """Return how an update of the endpoint's machines goes: a small part first, and back when an alarm rings."""
    return {
        "blueGreenUpdatePolicy": {
            "trafficRoutingConfiguration": {
                "type": "CANARY",
                "canarySize": {"type": "CAPACITY_PERCENT", "value": 10},
                "waitIntervalInSeconds": MINUTES * 60,
            },
            "terminationWaitInSeconds": 120,
            "maximumExecutionTimeoutInSeconds": 3600,
        },
        "autoRollbackConfiguration": {"alarms": [{"alarmName": alarm.name} for alarm in ringing]},
    }


def dashboard(part: ResolvedPart, links: Links, endpoint: str) -> None:
    """Register the endpoint's dashboard: requests, errors, latency and machines of each release."""
    variants = [deployment.release.short for deployment in part.deployments]
    shown = [
        ("requests", "Invocations", "Sum", NAMESPACE),
        ("answers of 5xx", "Invocation5XXErrors", "Sum", NAMESPACE),
        ("latency of the model, p95, microseconds", "ModelLatency", "p95", NAMESPACE),
        ("CPU, percent", "CPUUtilization", "Average", "/aws/sagemaker/Endpoints"),
    ]
    widgets = [
        {
            "type": "metric",
            "x": 12 * (number % 2),
            "y": 6 * (number // 2),
            "width": 12,
            "height": 6,
            "properties": {
                "title": title,
                "region": links.environment.region,
                "stat": stat,
                "period": 60,
                "metrics": [[space, metric, *_dimensions(endpoint, variant)] for variant in variants],
            },
        }
        for number, (title, metric, stat, space) in enumerate(shown)
    ]
    aws.cloudwatch.Dashboard(
        part.part.name,
        dashboard_name=name(links.environment.name, part.part, limit=255),
        dashboard_body=json.dumps({"widgets": widgets}),
        opts=options(links),
    )


def _dimensions(endpoint: str, variant: str) -> list[str]:
    return ["EndpointName", endpoint, "VariantName", variant]


def _alarm(part: ResolvedPart, links: Links, endpoint: str, variant: str) -> aws.cloudwatch.MetricAlarm:
    query = aws.cloudwatch.MetricAlarmMetricQueryArgs

    def asked(id_: str, metric: str) -> aws.cloudwatch.MetricAlarmMetricQueryArgs:
        return query(
            id=id_,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=NAMESPACE,
                metric_name=metric,
                period=60,
                stat="Sum",
                dimensions={"EndpointName": endpoint, "VariantName": variant},
            ),
        )

    return aws.cloudwatch.MetricAlarm(
        f"{part.part.name}-{variant}-errors",
        name=name(links.environment.name, part.part, variant, "errors", limit=255),
        alarm_description=f"release {variant} of {part.key} answers with errors",
        comparison_operator="GreaterThanThreshold",
        evaluation_periods=MINUTES,
        datapoints_to_alarm=3,
        threshold=FAILING_SHARE,
        treat_missing_data="notBreaching",
        metric_queries=[
            asked("errors", "Invocation5XXErrors"),
            asked("requests", "Invocations"),
            query(id="share", expression="errors / requests", label="share of errors", return_data=True),
        ],
        alarm_actions=[links.around.topic],
        ok_actions=[links.around.topic],
        tags=tags_of(links.environment, part),
        opts=options(links),
    )

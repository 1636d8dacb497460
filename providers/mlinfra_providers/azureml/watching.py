"""What watches an endpoint: an alarm on failed answers, its lines, and a dashboard.

Metrics: https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-onlineendpoints-metrics
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_azure_native import monitor, portal

from mlinfra.adapters import Links, ResolvedPart
from mlinfra_providers.azureml.naming import name, options, workspace_id
from mlinfra_providers.azureml.workspace import make_diagnostics
from mlinfra_providers.tags import tags_of

NAMESPACE = "microsoft.machinelearningservices/workspaces/onlineendpoints"
FAILED_A_MINUTE = 1.0
"""How many answers of 5xx a minute, over five minutes, are too many."""
_SHOWN = (
    ("requests a minute", "RequestsPerMinute", 1),
    ("latency, p95, milliseconds", "RequestLatency_P95", 4),
    ("connections", "ConnectionsActive", 4),
)
"""Titles, metrics, and how they are aggregated (1: the sum, 4: the average)."""


def watch(part: ResolvedPart, links: Links, endpoint: str, after: pulumi.Resource) -> None:
    """Register alarm, lines and dashboard of an endpoint."""
    environment = links.environment
    id_ = f"{workspace_id(environment)}/onlineEndpoints/{endpoint}"
    ready = options(links, depends_on=[after])
    make_diagnostics(environment, part.part.name, id_, links.around.logs, ready)
    monitor.MetricAlert(
        f"{part.part.name}-errors",
        rule_name=name(environment.name, part.part, "errors", limit=255),
        resource_group_name=environment.resource_group or "",
        location="global",
        description=f"mlinfra: {part.key} of {part.stack} answers with errors",
        enabled=True,
        severity=1,
        scopes=[id_],
        evaluation_frequency="PT1M",
        window_size="PT5M",
        auto_mitigate=True,
        criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
            odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
            all_of=[
                monitor.MetricCriteriaArgs(
                    criterion_type="StaticThresholdCriterion",
                    name="failed",
                    metric_name="RequestsPerMinute",
                    metric_namespace=NAMESPACE,
                    operator="GreaterThan",
                    threshold=FAILED_A_MINUTE,
                    time_aggregation="Average",
                    dimensions=[
                        monitor.MetricDimensionArgs(name="statusCodeClass", operator="Include", values=["5xx"])
                    ],
                )
            ],
        ),
        actions=[monitor.MetricAlertActionArgs(action_group_id=links.around.alarms)],
        tags=tags_of(environment, part),
        opts=ready,
    )
    _dashboard(part, links, id_)


def _dashboard(part: ResolvedPart, links: Links, endpoint: str) -> None:
    environment = links.environment
    called = name(environment.name, part.part, limit=160)
    parts = [
        portal.DashboardPartsArgs(
            position=portal.DashboardPartsPositionArgs(x=6 * number, y=0, col_span=6, row_span=4),
            metadata=portal.DashboardPartMetadataArgs(
                type="Extension/HubsExtension/PartType/MonitorChartPart",
                inputs=[{"name": "options", "value": _chart(title, metric, aggregation, endpoint)}],
            ),
        )
        for number, (title, metric, aggregation) in enumerate(_SHOWN)
    ]
    portal.Dashboard(
        part.part.name,
        dashboard_name=called,
        resource_group_name=environment.resource_group or "",
        location=environment.region,
        properties=portal.DashboardPropertiesWithProvisioningStateArgs(
            lenses=[portal.DashboardLensArgs(order=0, parts=parts)]
        ),
        tags={**tags_of(environment, part), "hidden-title": called},
        opts=options(links),
    )


def _chart(title: str, metric: str, aggregation: int, endpoint: str) -> dict[str, Any]:
    shown = {
        "resourceMetadata": {"id": endpoint},
        "name": metric,
        "namespace": NAMESPACE,
        "aggregationType": aggregation,
    }
    return {"chart": {"title": title, "metrics": [shown], "grouping": {"dimension": "deployment"}}}

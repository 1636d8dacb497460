"""What watches an endpoint: an alarm on the share of errors, and a dashboard.

Metrics: https://cloud.google.com/monitoring/api/metrics_gcp_a_b#gcp-aiplatform.
"""

from __future__ import annotations

import json
from typing import Any

import pulumi_gcp as gcp
from pulumi_gcp.monitoring import AlertPolicyConditionArgs as Condition
from pulumi_gcp.monitoring import AlertPolicyConditionConditionThresholdAggregationArgs as Aggregation
from pulumi_gcp.monitoring import AlertPolicyConditionConditionThresholdArgs as Threshold

from mlinfra.adapters import Links, ResolvedPart
from mlinfra_providers.tags import as_labels, tags_of
from mlinfra_providers.vertex.naming import name, options

METRICS = "aiplatform.googleapis.com/prediction/online"
FAILING_SHARE = 0.05
"""The share of requests answered by 5xx above which somebody is told."""
_WINDOW = "300s"
_PERIOD = "60s"


def of_endpoint(metric: str, endpoint: str) -> str:
    """Return the filter of one metric of an endpoint."""
    return (
        f'metric.type="{METRICS}/{metric}" AND resource.type="aiplatform.googleapis.com/Endpoint" '
        f'AND resource.label.endpoint_id="{endpoint}"'
    )


def alarm(part: ResolvedPart, links: Links, endpoint: str) -> None:
    """Register the alarm: some release of the endpoint answers with errors."""
    summed = Aggregation(
        alignment_period=_PERIOD,
        per_series_aligner="ALIGN_SUM",
        cross_series_reducer="REDUCE_SUM",
        group_by_fields=["metric.label.deployed_model_id"],
    )
    answers = of_endpoint("response_count", endpoint)
    called = name(links.environment.name, part.part, "errors", limit=512)
    gcp.monitoring.AlertPolicy(
        f"{part.part.name}-errors",
        project=links.environment.account,
        display_name=called,
        combiner="OR",
        severity="ERROR",
        conditions=[
            Condition(
                display_name=f"more than {FAILING_SHARE:.0%} of a release's answers are errors",
                condition_threshold=Threshold(
                    filter=f'{answers} AND metric.label.response_code=monitoring.regex.full_match("5..")',
                    denominator_filter=answers,
                    aggregations=[summed],
                    denominator_aggregations=[_same(summed)],
                    comparison="COMPARISON_GT",
                    threshold_value=FAILING_SHARE,
                    duration=_WINDOW,
                ),
            )
        ],
        notification_channels=[links.around.channel],
        user_labels=as_labels(tags_of(links.environment, part)),
        opts=options(links),
    )


def _same(summed: Aggregation) -> Any:
    from pulumi_gcp.monitoring import AlertPolicyConditionConditionThresholdDenominatorAggregationArgs as Denominator

    return Denominator(
        alignment_period=summed.alignment_period,
        per_series_aligner=summed.per_series_aligner,
        cross_series_reducer=summed.cross_series_reducer,
        group_by_fields=summed.group_by_fields,
    )


def dashboard(part: ResolvedPart, links: Links, endpoint: str) -> None:
    """Register the endpoint's dashboard: requests, errors, latency, machines and replicas of what is deployed."""
    shown = [
        ("requests a second", "prediction_count", "ALIGN_RATE"),
        ("errors a second", "error_count", "ALIGN_RATE"),
        ("latency, p95, milliseconds", "prediction_latencies", "ALIGN_PERCENTILE_95"),
        ("CPU, share", "cpu/utilization", "ALIGN_MEAN"),
        ("replicas", "replicas", "ALIGN_MEAN"),
    ]
    tiles = [
        {
            "xPos": 24 * (index % 2),
            "yPos": 16 * (index // 2),
            "width": 24,
            "height": 16,
            "widget": {"title": title, "xyChart": {"dataSets": [_series(metric, aligner, endpoint)]}},
        }
        for index, (title, metric, aligner) in enumerate(shown)
    ]
    labels = as_labels(tags_of(links.environment, part))
    gcp.monitoring.Dashboard(
        part.part.name,
        project=links.environment.account,
        dashboard_json=json.dumps(
            {
                "displayName": name(links.environment.name, part.part, limit=512),
                "labels": dict.fromkeys([f"{key}_{value}"[:63] for key, value in labels.items()], ""),
                "mosaicLayout": {"columns": 48, "tiles": tiles},
            }
        ),
        opts=options(links),
    )


def _series(metric: str, aligner: str, endpoint: str) -> dict[str, Any]:
    return {
        "plotType": "LINE",
        "timeSeriesQuery": {
            "timeSeriesFilter": {
                "filter": of_endpoint(metric, endpoint),
                "aggregation": {"alignmentPeriod": _PERIOD, "perSeriesAligner": aligner},
            }
        },
    }

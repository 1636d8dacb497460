"""What Azure Monitor measured of what is deployed to an endpoint.

Metrics: https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-onlineendpoints-metrics
(latencies are milliseconds; requests are an average a minute); the call:
https://learn.microsoft.com/rest/api/monitor/metrics/list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples
from mlinfra_providers.azureml.clients import Azure

NAMESPACE = "microsoft.machinelearningservices/workspaces/onlineendpoints"
_ERRORS = (" and statusCodeClass eq '5xx'", " and statusCode eq '424'")
"""What a container fails at is 424 to those who ask:
https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#http-status-codes"""
_PERCENTILES = {"p50_ms": "RequestLatency_P50", "p95_ms": "RequestLatency_P95", "p99_ms": "RequestLatency_P99"}


def samples(
    azure: Azure, endpoint: str, deployed: Mapping[str, str], since: datetime, until: datetime
) -> Samples | NoData:
    """Return what was measured, with one number for the whole window; `deployed` is the name of each release."""
    return Samples(
        since, until, {release: _of(azure, endpoint, name, since, until) for release, name in deployed.items()}
    )


def _of(azure: Azure, endpoint: str, name: str, since: datetime, until: datetime) -> ReleaseSamples:
    def ask(metric: str, aggregation: str, condition: str = "") -> list[float]:
        answer = azure.metrics(
            f"onlineEndpoints/{endpoint}",
            metricnames=metric,
            metricnamespace=NAMESPACE,
            aggregation=aggregation,
            interval="PT1M",
            timespan=f"{_utc(since)}/{_utc(until)}",
            **{"$filter": f"deployment eq '{name}'{condition}"},
        )
        return list(_numbers(answer, aggregation.lower()))

    latencies = {key: ask(metric, "Average") for key, metric in _PERCENTILES.items()}
    return ReleaseSamples(
        requests=round(sum(ask("RequestsPerMinute", "Average"))),
        errors=round(sum(sum(ask("RequestsPerMinute", "Average", condition)) for condition in _ERRORS)),
        percentiles_ms={key: max(values) for key, values in latencies.items() if values},
    )


def _numbers(answer: Mapping[str, Any], aggregation: str) -> Iterator[float]:
    for metric in answer.get("value", ()):
        for series in metric.get("timeseries", ()):
            for point in series.get("data", ()):
                if point.get(aggregation) is not None:
                    yield float(point[aggregation])


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

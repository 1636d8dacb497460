"""What CloudWatch measured of an endpoint's variants.

Metrics: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html. Latencies there are microseconds;
the percentiles of the model's share and of SageMaker's own are added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples
from mlinfra_providers.sagemaker.clients import explained

_NAMESPACE = "AWS/SageMaker"
_MACHINES = "/aws/sagemaker/Endpoints"
_PERCENTILES = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99"}
_MICROSECONDS = 1000
_SHORTEST_SECONDS = 60


def samples(api: Any, endpoint: str, variants: Sequence[str], since: datetime, until: datetime) -> Samples | NoData:
    """Return what was measured of each variant, with one number for the whole window."""
    if not variants:
        return NoData("nothing is deployed yet")
    period = int(max(_SHORTEST_SECONDS, -(-(until - since).total_seconds() // _SHORTEST_SECONDS) * _SHORTEST_SECONDS))
    return Samples(since, until, {variant: _of(api, endpoint, variant, since, until, period) for variant in variants})


def _of(api: Any, endpoint: str, variant: str, since: datetime, until: datetime, period: int) -> ReleaseSamples:
    asked = {
        "requests": (_NAMESPACE, "Invocations", "Sum"),
        "errors": (_NAMESPACE, "Invocation5XXErrors", "Sum"),
        "cpu": (_MACHINES, "CPUUtilization", "Maximum"),
        **{f"model_{name}": (_NAMESPACE, "ModelLatency", stat) for name, stat in _PERCENTILES.items()},
        **{f"overhead_{name}": (_NAMESPACE, "OverheadLatency", stat) for name, stat in _PERCENTILES.items()},
    }
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    queries = [
        {
            "Id": id_,
            "MetricStat": {
                "Metric": {"Namespace": space, "MetricName": metric, "Dimensions": dimensions},
                "Period": period,
                "Stat": stat,
            },
        }
        for id_, (space, metric, stat) in asked.items()
    ]
    with explained(f"reading the metrics of {endpoint}"):
        answer = api.get_metric_data(MetricDataQueries=queries, StartTime=since, EndTime=until)
    found = {item["Id"]: item["Values"] for item in answer["MetricDataResults"] if item["Values"]}
    cpu = max(found["cpu"]) / 100 if "cpu" in found else None
    return ReleaseSamples(
        requests=round(sum(found.get("requests", ()))),
        errors=round(sum(found.get("errors", ()))),
        percentiles_ms=_percentiles(found),
        saturation=cpu,
    )


def _percentiles(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the latencies, in milliseconds, where both shares of one are known."""
    known = [name for name in _PERCENTILES if {f"model_{name}", f"overhead_{name}"} <= set(found)]
    return {name: (max(found[f"model_{name}"]) + max(found[f"overhead_{name}"])) / _MICROSECONDS for name in known}

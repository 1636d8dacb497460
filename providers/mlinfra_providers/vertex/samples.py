"""What Cloud Monitoring measured of what is deployed to an endpoint.

Metrics: https://cloud.google.com/monitoring/api/metrics_gcp_a_b#gcp-aiplatform (latencies there are milliseconds); the
call: https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/list.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples
from mlinfra_providers.vertex.clients import explained, google
from mlinfra_providers.vertex.watching import of_endpoint

_ADDRESS = "https://monitoring.googleapis.com"
_SHORTEST_SECONDS = 60
_PERCENTILES = {"p50_ms": "ALIGN_PERCENTILE_50", "p95_ms": "ALIGN_PERCENTILE_95", "p99_ms": "ALIGN_PERCENTILE_99"}


def samples(
    project: str, endpoint: str, deployed: Mapping[str, str], since: datetime, until: datetime
) -> Samples | NoData:
    """Return what was measured, with one number for the whole window; `deployed` is the id of each release."""
    with explained(f"reading the metrics of {endpoint}"):
        measured = {release: _of(project, endpoint, id_, since, until) for release, id_ in deployed.items()}
    return Samples(since, until, measured)


def _of(project: str, endpoint: str, id_: str, since: datetime, until: datetime) -> ReleaseSamples:
    def ask(metric: str, aligner: str, reducer: str = "REDUCE_SUM", condition: str = "") -> float | None:
        filter_ = f'{of_endpoint(metric, endpoint)} AND metric.label.deployed_model_id="{id_}"{condition}'
        return _number(project, filter_, aligner, reducer, since, until)

    failed = ' AND metric.label.response_code=monitoring.regex.full_match("5..")'
    latencies = {name: ask("prediction_latencies", aligner, "REDUCE_MAX") for name, aligner in _PERCENTILES.items()}
    return ReleaseSamples(
        requests=round(ask("response_count", "ALIGN_SUM") or 0),
        errors=round(ask("response_count", "ALIGN_SUM", condition=failed) or 0),
        percentiles_ms={name: value for name, value in latencies.items() if value is not None},
        saturation=ask("cpu/utilization", "ALIGN_MAX", "REDUCE_MAX"),
    )


def _number(project: str, filter_: str, aligner: str, reducer: str, since: datetime, until: datetime) -> float | None:
    """Return one number for a window, or None where nothing was measured."""
    period = max(_SHORTEST_SECONDS, -int(-(until - since).total_seconds() // _SHORTEST_SECONDS) * _SHORTEST_SECONDS)
    answer = google(
        _ADDRESS,
        "GET",
        f"/v3/projects/{project}/timeSeries",
        params={
            "filter": filter_,
            "interval.startTime": since.astimezone(UTC).isoformat(),
            "interval.endTime": until.astimezone(UTC).isoformat(),
            "aggregation.alignmentPeriod": f"{period}s",
            "aggregation.perSeriesAligner": aligner,
            "aggregation.crossSeriesReducer": reducer,
        },
    )
    values = [point["value"] for series in answer.get("timeSeries", ()) for point in series["points"]]
    numbers = [float(value.get("doubleValue", value.get("int64Value", 0))) for value in values]
    if not numbers:
        return None
    return sum(numbers) if reducer == "REDUCE_SUM" else max(numbers)

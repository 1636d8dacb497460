"""What is seen of endpoints: Cloud Monitoring's time series, and the tables of requests and answers.

- https://cloud.google.com/monitoring/api/metrics_gcp_a_b#gcp-aiplatform: `prediction/online/response_count` by
  `response_code` and `deployed_model_id`, `prediction_latencies` in milliseconds, `cpu/utilization`, `replicas`.
- https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/list: one point for each alignment period.
- https://cloud.google.com/vertex-ai/docs/predictions/online-prediction-logging#enabling-and-disabling-request-response-logging:
  a sample of requests goes to a table of BigQuery with the columns `endpoint`, `deployed_model_id`, `logging_time`,
  `request_id`, `request_payload` and `response_payload`.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.lab.gcp.server.answers import Answer, Asked, Failed

_METRICS = "aiplatform.googleapis.com/prediction/online/"
_DISTRIBUTIONS = frozenset({"prediction_latencies"})


@dataclass(frozen=True)
class One:
    """One request that was answered."""

    moment: float
    endpoint: str
    deployed: str
    status: int
    milliseconds: float


class Seen:
    """Everything that endpoints answered."""

    def __init__(self) -> None:
        self.answered: list[One] = []
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def take(self, endpoint: Any, item: Any, status: int, seconds: float, request: bytes, response: bytes) -> None:
        """Count a request, and keep a sample of it where the endpoint says so."""
        id_, now = endpoint.name.rpartition("/")[2], time.time()
        self.answered.append(One(now, id_, item.id, status, seconds * 1000))
        logging = endpoint.predict_request_response_logging_config
        if logging.enabled and random.random() < logging.sampling_rate:
            table = logging.bigquery_destination.output_uri.removeprefix("bq://")
            self.tables.setdefault(table, []).append(
                {
                    "endpoint": endpoint.name,
                    "deployed_model_id": item.id,
                    "logging_time": datetime.fromtimestamp(now, UTC).isoformat(),
                    "request_id": str(len(self.answered)),
                    "request_payload": [request.decode(errors="replace")],
                    "response_payload": [response.decode(errors="replace")],
                }
            )

    def series(self, asked: Asked) -> Answer:
        """Answer projects.timeSeries.list. Raises Failed."""
        wanted = asked.one("filter")
        metric = _equal(wanted, "metric.type").removeprefix(_METRICS)
        if not asked.one("interval.endTime") or not metric:
            raise Failed("INVALID_ARGUMENT", "Field filter and interval.endTime are required")
        since, until = (datetime.fromisoformat(asked.one(f"interval.{end}Time")) for end in ("start", "end"))
        code = re.search(r'response_code=monitoring\.regex\.full_match\("([^"]+)"\)', wanted)
        found = [
            one
            for one in self.answered
            if since.timestamp() < one.moment <= until.timestamp()
            and one.endpoint == _equal(wanted, "resource.label.endpoint_id")
            and one.deployed == (_equal(wanted, "metric.label.deployed_model_id") or one.deployed)
            and (code is None or re.fullmatch(code[1], str(one.status)))
        ]
        value = _aligned(metric, asked.one("aggregation.perSeriesAligner"), found)
        span = {"startTime": asked.one("interval.startTime"), "endTime": asked.one("interval.endTime")}
        if value is None:
            return Answer.json({})
        series = {"metric": {"type": f"{_METRICS}{metric}"}, "points": [{"interval": span, "value": value}]}
        return Answer.json({"timeSeries": [series]})


def _equal(filter_: str, name: str) -> str:
    found = re.search(rf'{re.escape(name)}="([^"]*)"', filter_)
    return found[1] if found else ""


def _aligned(metric: str, aligner: str, found: Sequence[One]) -> dict[str, Any] | None:
    """Return the value of one point; nothing where nothing was measured."""
    if not found:
        return None
    if metric == "response_count" and aligner == "ALIGN_SUM":
        return {"int64Value": str(len(found))}
    if metric in _DISTRIBUTIONS and aligner.startswith("ALIGN_PERCENTILE_"):
        share = int(aligner.rpartition("_")[2]) / 100
        ordered = sorted(one.milliseconds for one in found)
        return {"doubleValue": ordered[min(len(ordered) - 1, int(share * len(ordered)))]}
    if metric == "cpu/utilization":
        return {"doubleValue": 0.2}
    raise Failed("INVALID_ARGUMENT", f"The aligner {aligner} is not valid for the metric {metric}")

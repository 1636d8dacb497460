"""Azure Monitor in the lab: what was measured of online endpoints, by minute and deployment.

Metrics and dimensions: https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-machinelearningservices-workspaces-onlineendpoints-metrics;
the call: https://learn.microsoft.com/rest/api/monitor/metrics/list.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.lab.azure.server.resource_manager import Answer

MINUTE = 60
_CLAUSE = re.compile(r"(\w+)\s+eq\s+'([^']*)'")
_PERCENTILE = re.compile(r"RequestLatency_P(\d\d)")
_KNOWN = ("deployment", "statusCode", "statusCodeClass", "modelStatusCode")


@dataclass(frozen=True)
class Measured:
    """One answer: when (seconds since 1970), by whom, the status told and the container's own, and milliseconds."""

    moment: float
    deployment: str
    status: int
    model_status: int
    milliseconds: float

    def dimension(self, name: str) -> str:
        """Return the value of a dimension."""
        return {
            "deployment": self.deployment,
            "statusCode": str(self.status),
            "statusCodeClass": f"{self.status // 100}xx",
            "modelStatusCode": str(self.model_status),
        }[name]


class Metrics:
    """The answers of all endpoints."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, list[Measured]] = {}

    def keep(self, endpoint: str, measured: Measured) -> None:
        with self._lock:
            self._kept.setdefault(endpoint.lower(), []).append(measured)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()

    def answer(self, resource: str, question: Mapping[str, str]) -> Answer:
        """Answer `GET …/providers/Microsoft.Insights/metrics`."""
        named = question.get("metricnames", "")
        latency = _PERCENTILE.fullmatch(named)
        if named != "RequestsPerMinute" and latency is None:
            return _wrong(f"Failed to find metric configuration for: {named}")
        if question.get("interval", "PT1M") != "PT1M":
            return _wrong("the lab keeps metrics by the minute: interval=PT1M")
        clauses = _CLAUSE.findall(question.get("$filter", ""))
        if unknown := [name for name, _ in clauses if name not in _KNOWN]:
            return _wrong(f"no such dimension: {', '.join(unknown)}")
        first, last = (_seconds(text) for text in question["timespan"].split("/"))
        start = first // MINUTE * MINUTE
        with self._lock:
            found = [
                item
                for item in self._kept.get(resource.lower(), ())
                if start <= item.moment < last and all(item.dimension(name) == value for name, value in clauses)
            ]
        points = []
        for minute in range(int(start), int(last) + 1, MINUTE):
            inside = [item for item in found if minute <= item.moment < minute + MINUTE]
            stamp = datetime.fromtimestamp(minute, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            points.append({"timeStamp": stamp, **_value(inside, int(latency[1]) if latency else None)})
        series = [{"metadatavalues": [], "data": points}] if found else []
        return Answer(200, {"value": [{"name": {"value": named}, "timeseries": series}], "interval": "PT1M"})


def _value(inside: list[Measured], percentile: int | None) -> dict[str, Any]:
    if not inside:
        return {}
    if percentile is None:
        return {"average": float(len(inside))}
    sorted_ = sorted(item.milliseconds for item in inside)
    return {"average": sorted_[min(len(sorted_) - 1, len(sorted_) * percentile // 100)]}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _wrong(message: str) -> Answer:
    return Answer(400, {"error": {"code": "BadRequest", "message": message}})

"""What Cloud Monitoring is asked, and what is made of its answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from mlinfra.problems import MlinfraError
from mlinfra.rollout.samples import Samples
from mlinfra_providers.vertex import clients, samples

UNTIL = datetime(2026, 11, 22, 12, tzinfo=UTC)
SINCE = UNTIL - timedelta(minutes=5)


class Answer:
    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status_code = status
        self.ok = status == 200
        self._body = body
        self.headers: dict[str, str] = {}
        self.text = ""
        self.request = SimpleNamespace(method="GET", url="https://monitoring.googleapis.com")

    def json(self) -> dict[str, Any]:
        return self._body


class Monitoring:
    """Answers by metric, and whether only errors are counted."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, bool], dict[str, Any]] = {}
        self.asked: list[dict[str, str]] = []
        self.refuses = False

    def request(self, method: str, address: str, params: dict[str, str]) -> Answer:
        assert (method, address) == ("GET", "https://monitoring.googleapis.com/v3/projects/acme-ml/timeSeries")
        self.asked.append(params)
        if self.refuses:
            return Answer(403, {"error": {"message": "the caller may not"}})
        metric = params["filter"].partition("online/")[2].partition('"')[0]
        value = self.values.get((metric, params["aggregation.perSeriesAligner"], "5.." in params["filter"]))
        return Answer(200, {"timeSeries": [{"points": [{"value": value}]}]} if value else {})


@pytest.fixture
def monitoring(monkeypatch: pytest.MonkeyPatch) -> Monitoring:
    made = Monitoring()
    monkeypatch.delenv(clients.ENDPOINT, raising=False)
    monkeypatch.setattr(clients, "_session", lambda: made)
    return made


def asked() -> Samples:
    found = samples.samples("acme-ml", "4711", {"v1": "1000000001"}, SINCE, UNTIL)
    assert isinstance(found, Samples)
    return found


def test_counts_errors_and_percentiles_are_those_of_one_release(monitoring: Monitoring) -> None:
    monitoring.values = {
        ("response_count", "ALIGN_SUM", False): {"int64Value": "200"},
        ("response_count", "ALIGN_SUM", True): {"int64Value": "3"},
        ("prediction_latencies", "ALIGN_PERCENTILE_95", False): {"doubleValue": 41.5},
        ("cpu/utilization", "ALIGN_MAX", False): {"doubleValue": 0.4},
    }
    found = asked().releases["v1"]
    assert (found.requests, found.errors, found.saturation) == (200, 3, 0.4)
    assert found.percentiles_ms == {"p95_ms": 41.5}
    for question in monitoring.asked:
        assert 'resource.label.endpoint_id="4711"' in question["filter"]
        assert 'metric.label.deployed_model_id="1000000001"' in question["filter"]
        assert question["aggregation.alignmentPeriod"] == "300s"
        assert question["interval.startTime"] == SINCE.isoformat()


def test_nothing_measured_is_not_zero(monitoring: Monitoring) -> None:
    found = asked().releases["v1"]
    assert (found.requests, found.percentiles_ms, found.saturation) == (0, {}, None)


def test_a_refusal_is_said(monitoring: Monitoring) -> None:
    monitoring.refuses = True
    with pytest.raises(MlinfraError, match="reading the metrics of 4711"):
        asked()

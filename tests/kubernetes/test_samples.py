"""What Prometheus is asked, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest

from mlinfra.problems import MlinfraError
from mlinfra.rollout.samples import NoData, Samples
from mlinfra_providers.kubernetes.samples import samples

UNTIL = datetime(2026, 11, 22, 12, tzinfo=UTC)
SINCE = UNTIL - timedelta(minutes=5)
NEW = "3f9c2ab1bbbb"
Answer = Callable[[str], list[object]]


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Let a function answer the queries."""

    def use(answer: Answer) -> None:
        def handle(request: httpx.Request) -> httpx.Response:
            assert request.url.params["time"] == f"{UNTIL.timestamp():.3f}"
            result = answer(request.url.params["query"])
            return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": result}})

        monkeypatch.setenv("PROMETHEUS_URL", "http://prometheus.example.com/")
        monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(handle)))

    return use


def test_each_release_is_measured(prometheus: Callable[[Answer], None]) -> None:
    asked = []

    def answer(query: str) -> list[object]:
        asked.append(query)
        number = "0.012" if "quantile" in query else "3.2" if "5.." in query else "241.7"
        return [{"metric": {}, "value": [0, number]}]

    prometheus(answer)
    found = samples("flights", "flight-delay", [NEW], SINCE, UNTIL)
    assert isinstance(found, Samples)
    measured = found.releases[NEW]
    assert (measured.requests, measured.errors) == (242, 3)
    assert measured.percentiles_ms == {"p50_ms": 12, "p95_ms": 12, "p99_ms": 12}
    chosen = f'namespace="flights",mlinfra_endpoint="flight-delay",mlinfra_release="{NEW}"'
    assert all(chosen in query and "[300s]" in query for query in asked)


@pytest.mark.parametrize("answer", [[], [{"metric": {}, "value": [0, "NaN"]}]])
def test_nothing_measured_is_no_latency(prometheus: Callable[[Answer], None], answer: list[object]) -> None:
    prometheus(lambda query: answer)
    found = samples("flights", "flight-delay", [NEW], SINCE, UNTIL)
    assert isinstance(found, Samples)
    assert (found.releases[NEW].requests, found.releases[NEW].percentiles_ms) == (0, {})


def test_without_an_address_there_are_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_URL", raising=False)
    found = samples("flights", "flight-delay", [NEW], SINCE, UNTIL)
    assert found == NoData("nobody says where Prometheus is: set PROMETHEUS_URL")


def test_an_answer_that_is_none_is_told(prometheus: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch) -> None:
    prometheus(lambda query: [])
    refusing = httpx.MockTransport(lambda request: httpx.Response(503))
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=refusing))
    with pytest.raises(MlinfraError, match="Prometheus at http://prometheus"):
        samples("flights", "flight-delay", [NEW], SINCE, UNTIL)

"""What Prometheus has of an endpoint's releases: the server's own counters, and KServe's time for a prediction.

A latency here is what the model takes, without the gateway and the network (kserve/metrics.py).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import datetime

import httpx

from mlinfra.problems import MlinfraError
from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples
from mlinfra_providers.kubernetes.series import selector

ADDRESS = "PROMETHEUS_URL"
_SECONDS = 10.0
_PERCENTILES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}


def samples(
    namespace: str, endpoint: str, releases: Sequence[str], since: datetime, until: datetime
) -> Samples | NoData:
    """Return what was measured of each release, with one number for the whole window."""
    address = os.environ.get(ADDRESS, "").rstrip("/")
    if not releases:
        return NoData("nothing is deployed yet")
    if not address:
        return NoData(f"nobody says where Prometheus is: set {ADDRESS}")
    span = max(1, math.ceil((until - since).total_seconds()))
    with httpx.Client(base_url=address, timeout=_SECONDS) as client:
        return Samples(
            since, until, {release: _of(client, namespace, endpoint, release, span, until) for release in releases}
        )


def _of(
    client: httpx.Client, namespace: str, endpoint: str, release: str, span: int, until: datetime
) -> ReleaseSamples:
    chosen = selector(namespace, endpoint, release)

    def ask(query: str) -> float | None:
        return _ask(client, query, until)

    requests = ask(f"sum(increase(mlinfra_requests_total{{{chosen}}}[{span}s]))")
    errors = ask(f'sum(increase(mlinfra_requests_total{{{chosen},code=~"5.."}}[{span}s]))')
    buckets = f"sum by (le) (increase(request_predict_seconds_bucket{{{chosen}}}[{span}s]))"
    found = {label: ask(f"histogram_quantile({share}, {buckets})") for label, share in _PERCENTILES.items()}
    return ReleaseSamples(
        requests=round(requests or 0),
        errors=round(errors or 0),
        percentiles_ms={label: value * 1000 for label, value in found.items() if value is not None},
    )


def _ask(client: httpx.Client, query: str, until: datetime) -> float | None:
    """Return the one number that a query has; None where nothing was measured."""
    try:
        answer = client.get("/api/v1/query", params={"query": query, "time": f"{until.timestamp():.3f}"})
        answer.raise_for_status()
        result = answer.json()["data"]["result"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise MlinfraError(
            f"Prometheus at {client.base_url} does not answer: {error}", remedy=f"check {ADDRESS}"
        ) from error
    value = float(result[0]["value"][1]) if result else math.nan
    return None if math.isnan(value) else value

"""What stands for Prometheus: counters of serving pods, and the queries that the adapter sends.

prometheus.io/docs/prometheus/latest/querying: `/api/v1/query` answers an instant vector; `increase(…[60s])` is what a
counter grew by in a window, a reset counts as beginning at 0; `histogram_quantile` interpolates within a bucket. The
labels of a series are those that the ServiceMonitor carries over (`podTargetLabels`), `namespace` and `pod`
(prometheus-operator.dev/docs/api-reference/api). Unlike Prometheus, nothing is extrapolated to the window's ends.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import defaultdict
from itertools import pairwise
from typing import Any

import httpx

from tests.lab.kubernetes.controllers.kubelet import Kubelet
from tests.lab.kubernetes.controllers.world import World

INTERVAL_SECONDS = 1.0
KEPT = ("mlinfra_requests_total", "request_predict_seconds_bucket")
LABELS = ("mlinfra-endpoint", "mlinfra-release")
_LINE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)(=~|=)"([^"]*)"')
_SUM = re.compile(r"sum(?: by \((?P<by>\w+)\))? ?\(increase\((?P<name>\w+)\{(?P<chosen>[^}]*)\}\[(?P<span>\d+)s\]\)\)")
_QUANTILE = re.compile(r"histogram_quantile\((?P<share>[0-9.]+), (?P<inner>.*)\)")
Series = tuple[str, tuple[tuple[str, str], ...]]


class NotAsked(ValueError):
    """A query that the lab does not know."""


class Prometheus:
    """Reads the metrics of every serving pod again and again, and answers queries."""

    def __init__(self, world: World, kubelet: Kubelet) -> None:
        self._world = world
        self._kubelet = kubelet
        self._lock = threading.Lock()
        self._series: dict[Series, list[tuple[float, float]]] = defaultdict(list)
        threading.Thread(target=self._scrape, daemon=True).start()

    def forget(self) -> None:
        """Forget everything."""
        with self._lock:
            self._series.clear()

    def query(self, query: str, moment: float) -> list[dict[str, Any]]:
        """Return the vector that a query has. Raises NotAsked."""
        quantile = _QUANTILE.fullmatch(query)
        if quantile:
            found = self._increase(quantile["inner"], moment)
            value = _quantile(float(quantile["share"]), {float(label): grown for label, grown in found.items()})
            return [_sample(value, moment)] if found else []
        found = self._increase(query, moment)
        return [_sample(value, moment) for value in found.values()]

    def _increase(self, query: str, moment: float) -> dict[str, float]:
        """Return what the chosen counters grew by, by the label that the query groups by."""
        asked = _SUM.fullmatch(query.strip())
        if asked is None:
            raise NotAsked(f"the lab does not know the query {query!r}")
        chosen = _LABEL.findall(asked["chosen"])
        start, found = moment - int(asked["span"]), dict[str, float]()
        with self._lock:
            for (name, labels), points in self._series.items():
                known = dict(labels)
                if name == asked["name"] and all(_fits(known.get(key, ""), how, value) for key, how, value in chosen):
                    inside = [value for at, value in points if start <= at <= moment]
                    before = [value for at, value in points if at < start][-1:]
                    group = known.get(asked["by"] or "", "")
                    if inside:
                        found[group] = found.get(group, 0.0) + _grown([*(before or [0.0]), *inside])
        return found

    def _scrape(self) -> None:
        with httpx.Client(timeout=2, trust_env=False) as client:
            while True:
                for address, pod in self._monitored():
                    try:
                        text = client.get(f"http://{address}:8080/metrics").text
                    except httpx.HTTPError:
                        continue
                    self._keep(text, pod)
                time.sleep(INTERVAL_SECONDS)

    def _monitored(self) -> list[tuple[str, Any]]:
        namespaces = {pod["metadata"]["namespace"] for pod in self._world.all("pods")}
        found = [item for name in namespaces for item in self._kubelet.addresses(name, {})]
        return [(address, pod) for address, pod in found if LABELS[0] in pod["metadata"]["labels"]]

    def _keep(self, text: str, pod: Any) -> None:
        metadata, now = pod["metadata"], time.time()
        own = {"namespace": metadata["namespace"], "pod": metadata["name"]}
        own |= {label.replace("-", "_"): metadata["labels"].get(label, "") for label in LABELS}
        with self._lock:
            for line in text.splitlines():
                found = _LINE.match(line)
                if found and found["name"] in KEPT:
                    labels = {**own, **{key: value for key, _, value in _LABEL.findall(found["labels"] or "")}}
                    self._series[(found["name"], tuple(sorted(labels.items())))].append((now, float(found["value"])))


def _fits(known: str, how: str, value: str) -> bool:
    return bool(re.fullmatch(value, known)) if how == "=~" else known == value


def _grown(values: list[float]) -> float:
    return sum(after - before if after >= before else after for before, after in pairwise(values))


def _quantile(share: float, buckets: dict[float, float]) -> float:
    """Return a quantile of cumulative buckets, interpolated; of the last one its lower bound."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if not total:
        return float("nan")
    rank, low, below = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            inside = buckets[bound] - below
            return low if bound == float("inf") else low + (bound - low) * ((rank - below) / inside if inside else 1.0)
        low, below = bound, buckets[bound]
    return low


def _sample(value: float, moment: float) -> dict[str, Any]:
    return {"metric": {}, "value": [moment, "NaN" if math.isnan(value) else f"{value:g}"]}

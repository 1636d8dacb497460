"""The scoring address of endpoints: requests are split by traffic, copied to the mirror, and counted.

https://learn.microsoft.com/azure/machine-learning/how-to-safely-rollout-online-endpoints: the header
azureml-model-deployment names the deployment that is meant, traffic or not; the answer has it, too. Codes of answers:
how-to-troubleshoot-online-endpoints#http-status-codes (a container that fails is 424).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping

import httpx

from tests.lab.azure.server.metrics import Measured, Metrics
from tests.lab.azure.server.resource_manager import Answer, ResourceManager
from tests.lab.azure.server.things import Thing

CHOICE = "azureml-model-deployment"
_OWN = ("host", "content-length", "connection", "authorization", CHOICE)


class Scoring:
    """All scoring addresses of the region, by the name of the endpoint."""

    def __init__(self, manager: ResourceManager, metrics: Metrics) -> None:
        self._manager = manager
        self._metrics = metrics
        self._lock = threading.Lock()
        self._turns: dict[str, dict[str, float]] = {}

    def answer(self, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request to an endpoint."""
        if not headers.get("authorization", "").startswith("Bearer "):
            return Answer(401, {"error": "the endpoint takes tokens of Microsoft Entra ID"})
        with self._manager.lock:
            found = [
                thing
                for thing in self._manager.things.all()
                if thing.kind.endswith("/onlineendpoints") and thing.name == name and thing.state != "Creating"
            ]
            if not found:
                return Answer(404, {"error": "there is no such endpoint"})
            endpoint = found[0]
            traffic = {key: int(value) for key, value in (endpoint.properties.get("traffic") or {}).items() if value}
            mirror = {key: int(value) for key, value in (endpoint.properties.get("mirrorTraffic") or {}).items()}
            wanted = headers.get(CHOICE) or self._turn(name, traffic)
            deployment = self._manager.things.find(f"{endpoint.id}/deployments/{wanted}") if wanted else None
        if deployment is None:
            return Answer(404, {"error": "the endpoint has no deployment with a share of the requests"})
        sent = {key: value for key, value in headers.items() if key not in _OWN}
        for other, share in mirror.items():
            if random.random() * 100 < share:
                threading.Thread(target=self._ask, args=(endpoint, other, sent, body), daemon=True).start()
        return self._ask(endpoint, deployment.name, sent, body)

    def _turn(self, endpoint: str, traffic: Mapping[str, int]) -> str:
        """Return whose turn it is: shares follow the split exactly, so that they can be counted."""
        with self._lock:
            turns = self._turns.setdefault(endpoint, {})
            for name in [name for name in turns if name not in traffic]:
                del turns[name]
            if not traffic:
                return ""
            for name, share in traffic.items():
                turns[name] = turns.get(name, 0.0) + share
            chosen = max(traffic, key=lambda name: turns[name])
            turns[chosen] -= sum(traffic.values())
            return chosen

    def _ask(self, endpoint: Thing, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        id_ = f"{endpoint.id}/deployments/{name}"
        server = self._manager.fleet.find(id_)
        began = time.monotonic()
        try:
            if server is None:
                raise httpx.ConnectError("no server")
            status, content, told = server.answer(body, headers)
        except httpx.HTTPError:
            status, content, told = 503, b'{"error": "no server answers"}', {}
        seconds = time.monotonic() - began
        own = {key: value for key, value in told.items() if key.startswith("x-")}
        shown = status
        if status >= 500:
            own["ms-azureml-model-error-statuscode"] = str(status)
            shown = 424 if server is not None else 503
        self._metrics.keep(endpoint.id, Measured(time.time(), name, shown, status, 1000 * seconds))
        kept = {**own, CHOICE: name, "Content-Type": told.get("content-type", "application/json")}
        return Answer(shown, content, kept)

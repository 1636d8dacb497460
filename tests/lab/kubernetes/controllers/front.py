"""What is asked of the lab by HTTP, each at a port of its own: the gateway, Prometheus, Feast, the API server behind
faults, and the lab itself.

Faults of the API server: too many requests are answered 429 with Retry-After (kubernetes.io/docs/concepts/
cluster-administration/flow-control); a connection is lost before a write was done, or after.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx

from tests.lab.kubernetes.client import Cluster
from tests.lab.kubernetes.controllers.feast import Feast
from tests.lab.kubernetes.controllers.gateway import Gateway
from tests.lab.kubernetes.controllers.kubelet import Kubelet
from tests.lab.kubernetes.controllers.prometheus import NotAsked, Prometheus

FAULTS = ("no-capacity", "quota", "throttle", "lost-before", "lost-after")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "accept-encoding"})
Answer = tuple[int, Any]


class Faults:
    """How often each fault is still due."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.left: Counter[str] = Counter()

    def take(self, name: str) -> bool:
        """Say whether a fault is due, and count it."""
        with self._lock:
            due = self.left[name] > 0
            self.left[name] -= due
            return due


class Front:
    """One ASGI application; the port that was asked says what answers."""

    def __init__(
        self,
        cluster: Cluster,
        gateway: Gateway,
        prometheus: Prometheus,
        feast: Feast,
        kubelet: Kubelet,
        faults: Faults,
        empty: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._gateway = gateway
        self._prometheus = prometheus
        self._feast = feast
        self._kubelet = kubelet
        self._faults = faults
        self._empty = empty
        self._upstream = httpx.AsyncClient(
            base_url=cluster.server,
            verify=ssl.create_default_context(cafile=cluster.authority),
            timeout=httpx.Timeout(60, read=None),
            trust_env=False,
            limits=httpx.Limits(keepalive_expiry=1),
        )
        self.ports: dict[str, int] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        method, port = scope["method"], scope["server"][1]
        path = scope["path"]
        if port == self.ports["api"]:
            await self._api(scope, method, body, send)
        elif port == self.ports["gateway"]:
            headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
            code, told, content = await self._gateway.answer(method, path, headers, body)
            await _say(send, code, content, told)
        elif port == self.ports["feast"]:
            # the first one imports Feast, and the others must not wait for that
            code, said = await asyncio.to_thread(self._feast.answer, path, body)
            await _say(send, code, json.dumps(said).encode(), [("content-type", "application/json")])
        else:
            answer = self._metrics if port == self.ports["prometheus"] else self._lab
            code, said = answer(method, path, scope["query_string"].decode(), body)
            await _say(send, code, json.dumps(said).encode(), [("content-type", "application/json")])

    def _metrics(self, method: str, path: str, query: str, body: bytes) -> Answer:
        if path != "/api/v1/query":
            return 404, {"status": "error", "errorType": "bad_data", "error": f"the lab has no {path}"}
        asked = parse_qs(query)
        try:
            found = self._prometheus.query(asked["query"][0], float(asked["time"][0]))
        except NotAsked as error:
            return 400, {"status": "error", "errorType": "bad_data", "error": str(error)}
        return 200, {"status": "success", "data": {"resultType": "vector", "result": found}}

    def _lab(self, method: str, path: str, query: str, body: bytes) -> Answer:
        match (method, path):
            case ("POST", "/faults"):
                asked = json.loads(body)
                if asked["name"] not in FAULTS:
                    return 400, {"error": f"there is no fault {asked['name']}"}
                if asked["name"] == "no-capacity":
                    self._kubelet.no_room = asked["times"]
                self._faults.left[asked["name"]] = asked["times"]
            case ("DELETE", "/faults"):
                self._faults.left.clear()
                self._kubelet.heal()
            case ("POST", "/empty"):
                self._empty()
                self._prometheus.forget()
            case ("GET", "/answered"):
                return 200, dict(self._gateway.answered)
            case ("GET", "/materialized"):
                return 200, self._feast.asked
            case _:
                return 404, {"error": path}
        return 200, {}

    async def _api(self, scope: Any, method: str, body: bytes, send: Any) -> None:
        query = scope["query_string"].decode()
        writes = method in WRITES and "dryRun" not in query
        if self._faults.take("throttle"):
            told = {"kind": "Status", "code": 429, "message": "Too many requests, please try again later."}
            headers = [("content-type", "application/json"), ("retry-after", "1")]
            await _say(send, 429, json.dumps(told).encode(), headers)
            return
        if writes and self._faults.take("lost-before"):
            await _lose(send)
            return
        pieces = scope["path"].split("/")
        if method == "GET" and pieces[-1] == "log" and pieces[-3:-2] == ["pods"]:
            await self._log(pieces[-4], pieces[-2], parse_qs(query).get("container", [""])[0], send)
            return
        url = httpx.URL(self._cluster.server + scope["raw_path"].decode() + (f"?{query}" if query else ""))
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"] if name.decode() not in _HOP]
        asked = self._upstream.build_request(method, url, headers=headers, content=body or None)
        answer = await self._upstream.send(asked, stream=True)
        try:
            if writes and self._faults.take("lost-after"):
                await answer.aread()
                await _lose(send)
                return
            kept = [(name, value) for name, value in answer.headers.items() if name not in (*_HOP, "content-encoding")]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": _raw(kept)})
            async for piece in answer.aiter_bytes():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()

    async def _log(self, namespace: str, name: str, container: str, send: Any) -> None:
        """Answer what the kubelet would (kubernetes.io/docs/reference/kubernetes-api: read log of the Pod)."""
        found = self._kubelet.log(namespace, name, container)
        if found is None:
            told = {"kind": "Status", "code": 404, "message": f'pods "{name}" not found'}
            await _say(send, 404, json.dumps(told).encode(), [("content-type", "application/json")])
            return
        await _say(send, 200, found, [("content-type", "text/plain")])


async def _say(send: Any, code: int, content: bytes, headers: Any) -> None:
    sized = [*headers, ("content-length", str(len(content)))]
    await send({"type": "http.response.start", "status": code, "headers": _raw(sized)})
    await send({"type": "http.response.body", "body": content})


async def _lose(send: Any) -> None:
    """Cut the connection: an answer is promised, and nothing comes."""
    await send({"type": "http.response.start", "status": 200, "headers": _raw([("content-length", "100000")])})


def _raw(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers]

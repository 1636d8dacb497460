"""The gateway: HTTPRoutes as they are in force, and who answered.

gateway-api.sigs.k8s.io/reference/spec: the longest PathPrefix wins, by whole segments; a share is a weight divided by
the sum of weights, and a backend without pods answers 503, one that there is not 500 for its share; URLRewrite with
ReplacePrefixMatch; RequestMirror copies a share of requests, and ignores the answers. Shares are kept exactly, not by
chance: whoever is most behind is next.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

import httpx

from tests.lab.kubernetes.controllers.kubelet import Kubelet
from tests.lab.kubernetes.controllers.world import Object, World, going

Headers = Iterable[tuple[str, str]]
_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})


class Gateway:
    """Answers requests as the routes of the cluster say. `answered` counts by namespace/route/service."""

    def __init__(self, world: World, kubelet: Kubelet) -> None:
        self._world = world
        self._kubelet = kubelet
        self._client = httpx.AsyncClient(timeout=30, trust_env=False, limits=httpx.Limits(keepalive_expiry=1))
        self._credit: dict[str, dict[str, float]] = {}
        self._turns: Counter[str] = Counter()
        self._mirrors: set[asyncio.Task[None]] = set()
        self.answered: Counter[str] = Counter()

    async def answer(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[int, Headers, bytes]:
        """Route one request."""
        found = self._route(path)
        if found is None:
            return 404, [("content-type", "text/plain")], b"no route"
        route, rule, prefix = found
        namespace = route["metadata"]["namespace"]
        rest, copied = path, []
        for item in rule.get("filters") or ():
            if item["type"] == "URLRewrite":
                new = item["urlRewrite"]["path"]["replacePrefixMatch"]
                rest = f"{new.rstrip('/')}/{path[len(prefix) :].lstrip('/')}"
            elif item["type"] == "RequestMirror":
                copied.append(item["requestMirror"])
        kept = [(name, value) for name, value in headers if name not in _HOP]
        for mirror in copied:
            self._mirror(route, mirror, method, rest, kept, body)
        key = f"{namespace}/{route['metadata']['name']}"
        service = self._chosen(key, rule.get("backendRefs") or [])
        if service is None:
            return 500, [("content-type", "text/plain")], b"no backend"
        told = await self._ask(namespace, service, method, rest, kept, body)
        if told is None:
            return 503, [("content-type", "text/plain")], f"no healthy upstream: {service}".encode()
        self.answered[f"{key}/{service}"] += 1
        return told.status_code, [item for item in told.headers.items() if item[0] not in _HOP], told.content

    def _route(self, path: str) -> tuple[Object, Object, str] | None:
        best: tuple[Object, Object, str] | None = None
        for route in self._world.all("httproutes"):
            for rule in route["spec"]["rules"] if not going(route) else ():
                for match in rule.get("matches") or ():
                    prefix = match["path"]["value"].rstrip("/")
                    fits = path == prefix or path.startswith(f"{prefix}/")
                    if fits and (best is None or len(prefix) > len(best[2])):
                        best = (route, rule, prefix)
        return best

    def _chosen(self, key: str, backends: list[Object]) -> str | None:
        weights = {str(item["name"]): int(item.get("weight", 1)) for item in backends if item.get("weight", 1)}
        total = sum(weights.values())
        if not total:
            return None
        credit = self._credit.get(key, {})
        if set(credit) != set(weights):
            credit = self._credit[key] = dict.fromkeys(weights, 0.0)
        for name, weight in weights.items():
            credit[name] += weight / total
        chosen = max(weights, key=lambda name: credit[name])
        credit[chosen] -= 1
        return chosen

    async def _ask(
        self, namespace: str, service: str, method: str, path: str, headers: Headers, body: bytes
    ) -> httpx.Response | None:
        found = self._world.get("services", namespace, service)
        pods = self._kubelet.addresses(namespace, found["spec"]["selector"]) if found else []
        port = found["spec"]["ports"][0]["targetPort"] if found else 0
        for _ in range(len(pods)):
            self._turns[service] += 1
            address, _pod = pods[self._turns[service] % len(pods)]
            try:
                return await self._client.request(
                    method, f"http://{address}:{port}{path}", headers=list(headers), content=body
                )
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                continue  # a pod that goes: gateways try another one
        return None

    def _mirror(self, route: Object, mirror: Object, method: str, path: str, headers: Headers, body: bytes) -> None:
        namespace, service = route["metadata"]["namespace"], mirror["backendRef"]["name"]
        key = f"{namespace}/{route['metadata']['name']}/mirror/{service}"
        share = mirror.get("percent", 100) / 100
        sent = self._turns[key] = self._turns[key] + 1
        if int(sent * share) == int((sent - 1) * share):
            return

        async def send() -> None:
            marked = [*headers, ("x-mlinfra-mirrored", "true")]
            if await self._ask(namespace, service, method, path, marked, body) is not None:
                self.answered[key] += 1

        task = asyncio.get_running_loop().create_task(send())
        self._mirrors.add(task)
        task.add_done_callback(self._mirrors.discard)

"""The Kubernetes API as the lab needs it: https://kubernetes.io/docs/reference/using-api."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

SECONDS = 60.0
LOST = 0
"""In place of a code of HTTP: the connection was lost."""


class Answered(Exception):
    """The server said no: `code` of HTTP, its message, and the wrong fields with what is wrong about each."""

    def __init__(self, code: int, message: str, causes: list[tuple[str, str]]) -> None:
        super().__init__(message)
        self.code = code
        self.causes = causes


@dataclass(frozen=True)
class Kind:
    """Where objects of a kind are."""

    base: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str) -> str:
        within = f"/namespaces/{namespace}" if self.namespaced else ""
        return f"{self.base}{within}/{self.plural}/{name}"


@dataclass(frozen=True)
class Cluster:
    """A server, and how to talk to it."""

    server: str
    token: str
    authority: str

    @staticmethod
    def of(kubeconfig: Path) -> Cluster:
        """Return the cluster of a kubeconfig's current context."""
        read = YAML(typ="safe").load(kubeconfig)
        contexts = {item["name"]: item["context"] for item in read["contexts"]}
        context = contexts[read["current-context"]]
        cluster = {item["name"]: item["cluster"] for item in read["clusters"]}[context["cluster"]]
        user = {item["name"]: item["user"] for item in read["users"]}[context["user"]]
        return Cluster(cluster["server"], user["token"], cluster["certificate-authority"])

    @cached_property
    def _client(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=self.authority)
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.server, verify=trusted, headers=headers, timeout=SECONDS, trust_env=False)

    def send(self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: str) -> Any:
        """Ask the server. Raises Answered; its code is 0 where nothing came back."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            answer = self._client.request(method, path, params=query, content=content, headers={"Content-Type": kind})
        except httpx.RemoteProtocolError as error:
            raise Answered(LOST, f"the connection to the cluster was lost: {error}", []) from error
        if not answer.is_success:
            try:
                status = answer.json()
            except ValueError:
                raise Answered(answer.status_code, answer.text, []) from None
            listed = (status.get("details") or {}).get("causes") or []
            causes = [(item.get("field", ""), item.get("message", "")) for item in listed]
            raise Answered(answer.status_code, status.get("message", answer.text), causes)
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text

    @contextmanager
    def stream(self, path: str, query: Mapping[str, str]) -> Iterator[Iterator[str]]:
        """Read an answer that does not end, line by line. Raises Answered."""
        patient = httpx.Timeout(SECONDS, read=None)
        with self._client.stream("GET", path, params=query, timeout=patient) as answer:
            if not answer.is_success:
                raise Answered(answer.status_code, answer.read().decode(errors="replace"), [])
            yield answer.iter_lines()

    def get(self, path: str) -> Any:
        """Return what is at a path, None where nothing is. Raises Answered."""
        try:
            return self.send("GET", path)
        except Answered as answered:
            if answered.code == 404:
                return None
            raise

    @cache  # noqa: B019  one cluster lives as long as the plugin
    def _kinds(self, version: str) -> dict[str, Kind]:
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        listed = self.get(base) or {"resources": []}
        return {
            item["kind"]: Kind(base, item["name"], item["namespaced"])
            for item in listed["resources"]
            if "/" not in item["name"]
        }

    def kind(self, version: str, name: str) -> Kind | None:
        """Return where a kind is, None where the server has no such kind (yet)."""
        known = self._kinds(version)
        if name not in known:
            self.__class__._kinds.cache_clear()
            known = self._kinds(version)
        return known.get(name)

    def apply(self, path: str, manifest: Any, *, dry: bool = False, force: bool = False) -> Any:
        """Apply on the server's side, every field checked. Raises Answered."""
        query = {"fieldManager": "pulumi-kubernetes", "fieldValidation": "Strict", "force": str(force).lower()}
        query |= {"dryRun": "All"} if dry else {}
        return self.send("PATCH", path, manifest, kind="application/apply-patch+yaml", **query)

    def wait_for(self, group: str, resource: str, seconds: float) -> None:
        """Wait until a defined kind is served."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource}"
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = (self.get(path) or {}).get("status", {})
            ready = {item["type"] for item in (status.get("conditions") or []) if item["status"] == "True"}
            if "Established" in ready and self.get(group) is not None:
                return
            time.sleep(0.1)
        raise AssertionError(f"{resource} is not served")

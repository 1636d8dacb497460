"""A small cluster in memory: custom resources that are replaced only by who read the newest version of them."""

from __future__ import annotations

import copy
from typing import Any

from mlinfra_providers.kubernetes.clients import Cluster, Conflict, Objects

Kind = tuple[str, str, str]


SERVES = {"artifact": "sha256:a", "image": "serving@sha256:1", "version": "v"}
"""What the pods run of which nothing else is said."""


def pod(*, artifact: str = SERVES["artifact"], ready: bool = True, **status: Any) -> dict[str, Any]:
    """Return a serving pod."""
    server = {
        "name": "kserve-container",
        "image": SERVES["image"],
        "env": [{"name": "MLINFRA_SERVING_MODEL_DIGEST", "value": artifact}],
    }
    conditions = [{"type": "Ready", "status": str(ready)}, *status.pop("conditions", ())]
    return {
        "metadata": {"name": "pod", "labels": {"mlinfra-version": SERVES["version"]}},
        "spec": {"containers": [server]},
        "status": {"conditions": conditions, **status},
    }


class Memory(Cluster):
    """Stands for a cluster; `objects` holds what is there, `deployments` what its controllers would make, `running` the
    pods by release: one that is ready where nothing is said.

    With `meddle`, somebody else writes right after the next read."""

    def __init__(self) -> None:
        super().__init__("memory", "flights")
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.deployments: dict[str, dict[str, Any]] = {}
        self.running: dict[str, list[dict[str, Any]]] = {}
        self.told: list[dict[str, Any]] = []
        self.written = 0
        self.meddle = False

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        found = copy.deepcopy(self.objects.get((kind[2], name)))
        if self.meddle and found is not None:
            self.meddle = False
            self._put(kind, self.objects[kind[2], name])
        return found

    def list(self, kind: Kind, selector: str) -> Objects:
        key, _, value = selector.partition("=")
        return [
            copy.deepcopy(item)
            for (plural, _), item in self.objects.items()
            if plural == kind[2] and (not selector or item["metadata"].get("labels", {}).get(key) == value)
        ]

    def create(self, kind: Kind, body: dict[str, Any]) -> None:
        assert (kind[2], body["metadata"]["name"]) not in self.objects
        self._put(kind, body)

    def replace(self, kind: Kind, name: str, body: dict[str, Any]) -> None:
        if body["metadata"]["resourceVersion"] != self.objects[kind[2], name]["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        self._put(kind, body)

    def delete(self, kind: Kind, name: str) -> None:
        self.objects.pop((kind[2], name), None)

    def deployment(self, name: str) -> dict[str, Any] | None:
        return self.deployments.get(name)

    def pods(self, selector: str, *, going: bool = False) -> Objects:
        chosen = dict(item.split("=") for item in selector.split(","))
        return self.running.get(chosen["mlinfra-release"], [pod()])

    def events(self, pod: str) -> Objects:
        return self.told

    def _put(self, kind: Kind, body: dict[str, Any]) -> None:
        self.written += 1
        made = copy.deepcopy(body)
        made["metadata"]["resourceVersion"] = str(self.written)
        self.objects[kind[2], made["metadata"]["name"]] = made

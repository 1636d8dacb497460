"""The HTTPRoute of an endpoint: who gets which share, and, in its annotations, what is remembered with it.

https://gateway-api.sigs.k8s.io/guides/traffic-splitting. A prefix with the namespace sets endpoints apart at a
gateway that several namespaces share, and is taken off again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GATEWAY, GATEWAY_NAMESPACE = "kserve-ingress-gateway", "kserve"
"""The gateway that KServe's own installation makes (kserve.github.io: Gateway API migration)."""
SERVICE_PORT = 80
_GENERATION, _ROLLOUT, _BACKENDS, _OWNER = (
    f"mlinfra/{word}" for word in ("generation", "rollout", "backends", "owner")
)


@dataclass(frozen=True)
class Split:
    """What a route says. `weights` and `mirror` are percent by release, `backends` services by release."""

    generation: int = 0
    weights: Mapping[str, int] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)
    mirror: Mapping[str, int] = field(default_factory=dict)
    rollout: Mapping[str, Any] | None = None


def path_of(namespace: str, endpoint: str) -> str:
    """Return the path of an endpoint at its gateway."""
    return f"/{namespace}/{endpoint}"


def route(
    split: Split, endpoint: str, namespace: str, labels: Mapping[str, str], owner: str, version: str | None = None
) -> dict[str, Any]:
    """Return the route as an object of the API; `version` is the one that it replaces, and no other."""
    rewritten = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    filters: list[dict[str, Any]] = [{"type": "URLRewrite", "urlRewrite": {"path": rewritten}}]
    for release, percent in sorted(split.mirror.items()):
        copied = {"backendRef": _service(split.backends[release]), "percent": percent}
        filters.append({"type": "RequestMirror", "requestMirror": copied})
    shares = [
        {**_service(service), "weight": split.weights.get(release, 0)}
        for release, service in sorted(split.backends.items())
    ]
    annotations = {
        _GENERATION: str(split.generation),
        _BACKENDS: json.dumps(dict(split.backends), sort_keys=True),
        _OWNER: owner,
        **({_ROLLOUT: json.dumps(split.rollout, sort_keys=True)} if split.rollout else {}),
    }
    matched = {"path": {"type": "PathPrefix", "value": path_of(namespace, endpoint)}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": endpoint,
            "namespace": namespace,
            "labels": dict(labels),
            "annotations": annotations,
            **({"resourceVersion": version} if version else {}),
        },
        "spec": {
            "parentRefs": [{"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}],
            "rules": [{"matches": [matched], "filters": filters, "backendRefs": shares}],
        },
    }


def _service(name: str) -> dict[str, Any]:
    return {"kind": "Service", "name": name, "port": SERVICE_PORT}


def split_of(found: Mapping[str, Any]) -> Split:
    """Return what a route says. Weights are relative to their sum; a backend that nobody remembers is named itself."""
    said = found["metadata"].get("annotations") or {}
    backends: dict[str, str] = json.loads(said.get(_BACKENDS, "{}"))
    releases = {service: release for release, service in backends.items()}
    (rule, *_) = found["spec"]["rules"]
    shares = {releases.get(item["name"], item["name"]): item.get("weight", 1) for item in rule.get("backendRefs") or ()}
    total = sum(shares.values())
    copied = [item["requestMirror"] for item in rule.get("filters") or () if item["type"] == "RequestMirror"]
    return Split(
        generation=int(said.get(_GENERATION, "0")),
        weights={release: round(100 * share / total) if total else 0 for release, share in shares.items()},
        backends={release: service for release, service in backends.items() if release in shares},
        mirror={
            releases.get(item["backendRef"]["name"], item["backendRef"]["name"]): item.get("percent", 100)
            for item in copied
        },
        rollout=json.loads(said[_ROLLOUT]) if _ROLLOUT in said else None,
    )

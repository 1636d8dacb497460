"""What is declared, as the objects that an API server gets."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from mlinfra.resources import Resource, Resources
from mlinfra_policies.pods import pods
from mlinfra_providers.kubernetes.resources.traffic import _declared
from mlinfra_providers.kubernetes.route import route

ROUTE = "mlinfra:kubernetes:Traffic"
_OF_KSERVE = ("minReplicas", "maxReplicas", "labels", "annotations", "autoScaling")


def objects(resources: Resources) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Yield each object with the resource that declares it; a route as its handler writes it."""
    for resource in resources.declared():
        if resource.type == ROUTE:
            yield resource, route_of(resource.inputs)
        elif resource.type.startswith("kubernetes:"):
            yield resource, dict(resource.inputs)


def route_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first route that a resource makes."""
    return route(_declared(inputs), inputs["endpoint"], inputs["namespace"], inputs["labels"], inputs["owner"])


def pods_of(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pods that are described in full, as objects of their own."""
    for resource in resources.declared():
        for number, pod in enumerate(pods(resource)):
            if resource.type.endswith(":FeatureStore"):
                continue  # the operator makes these pods
            spec = {key: copy.deepcopy(value) for key, value in pod.spec.items() if key not in _OF_KSERVE}
            name = f"pod-{resource.inputs['metadata']['name']}-{number}"[:63].rstrip("-")
            labels = {"metadata": {"name": name, "labels": pod.labels}}
            yield resource.urn, {"apiVersion": "v1", "kind": "Pod", **labels, "spec": spec}

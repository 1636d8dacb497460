"""Network policies that do the same are one for the rules; those that take their selector from elsewhere are not."""

from __future__ import annotations

from typing import Any

import pytest

from mlinfra.policy.inspection import Inspection
from mlinfra.resources import UNKNOWN, Resource, Resources
from mlinfra_policies.network_policies import network_policies

_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


def _policy(name: str, namespace: str, labels: dict[str, Any], source: str) -> Resource:
    inputs = {"metadata": {"namespace": namespace}, "spec": {"podSelector": {"matchLabels": labels}}}
    return Resource(f"urn:{name}", _POLICY, name, inputs, property_dependencies={"spec": [source]})


@pytest.mark.parametrize(
    ("namespace", "labels", "source", "kept"),
    [
        ("models", {"app": UNKNOWN}, "urn:api", ["first"]),
        ("models", {"app": UNKNOWN}, "urn:web", ["first", "second"]),
        ("models", {"app": "api"}, "urn:api", ["first", "second"]),
        ("training", {"app": UNKNOWN}, "urn:api", ["first", "second"]),
    ],
)
def test_only_what_does_the_same_is_left_out(
    namespace: str, labels: dict[str, Any], source: str, kept: list[str]
) -> None:
    first = _policy("first", "models", {"app": UNKNOWN}, "urn:api")
    second = _policy("second", namespace, labels, source)
    found = network_policies(Inspection(Resources([first, second])))
    assert [policy.resource.name for policy in found] == kept

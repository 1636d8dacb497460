"""The resource types of Kubernetes that pulumi-kubernetes cannot do right, by name: `mlinfra:kubernetes:<name>`."""

from __future__ import annotations

from collections.abc import Mapping

from mlinfra_providers.handler import Handler
from mlinfra_providers.kubernetes.resources.traffic import TrafficSplit

HANDLERS: Mapping[str, type[Handler]] = {"Traffic": TrafficSplit}

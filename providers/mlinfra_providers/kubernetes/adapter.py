"""The adapter of Kubernetes: what it refuses, and which file declares which kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Instance
from mlinfra.declarations.compute import Compute
from mlinfra.environment import Environment
from mlinfra.foundation import Foundation, SourceHost
from mlinfra_providers.by_file import AdapterByFile
from mlinfra_providers.kubernetes.machines import find_machine

if TYPE_CHECKING:
    from mlinfra_providers.kubernetes.service import KubernetesService


def _images(digit: str) -> dict[str, str]:
    return {kind: f"registry.example.com/mlinfra-{kind}@sha256:{digit * 64}" for kind in ("serving", "training")}


class Kubernetes(AdapterByFile):
    """A cluster of the team's own, with KServe, Kubeflow Trainer, Feast, Gateway API, KEDA and Prometheus."""

    name = "kubernetes"
    extra = "kubernetes"
    packages = ("pulumi_kubernetes", "kubernetes")
    proved_against = "the real engine and a real API server with the operators' definitions; no operator has run it"
    proofs: Mapping[str, str] = {
        "FeatureStore": "a real API server; Jobs that the lab's own controllers run; a real PostgreSQL, and Feast "
        "itself, without its operator",
        "TrainingJob": "a real API server; TrainJobs that the lab's own controllers run",
        "Endpoint": "a real API server; servers and routes that the lab's own controllers run",
    }
    not_yet: Mapping[str, str] = {}
    shared = True
    place: Mapping[str, tuple[Any, Any]] = {
        "namespace": ("flights", "other-flights"),
        "context": ("cluster", "other-cluster"),
        "images": (_images("1"), _images("2")),
        "tags": ({"cost-center": "ml-1"}, {"cost-center": "ml-2"}),
    }

    def instance(self, need: Compute) -> Instance | None:
        """Return the smallest node on which it fits."""
        return find_machine(need)

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return what must exist before the first `up`."""
        from mlinfra_providers.kubernetes.bootstrap import ClusterFoundation

        return ClusterFoundation(environment, source)

    def service(self, environment: Environment, repository: Path) -> KubernetesService:
        """Return the running side."""
        from mlinfra_providers.kubernetes.service import KubernetesService

        return KubernetesService(environment, repository)

"""The adapter of Kubernetes: what it refuses, and which file declares which kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Instance, Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.part import Part
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.foundation import Foundation, SourceHost
from mlinfra.place import refuse_foreign
from mlinfra.problems import Problem
from mlinfra_providers.kubernetes.machines import find_machine

if TYPE_CHECKING:
    from mlinfra_providers.kubernetes.service import KubernetesService

_PACKAGE = "mlinfra:kubernetes:"


def _images(digit: str) -> dict[str, str]:
    return {kind: f"registry.example.com/mlinfra-{kind}@sha256:{digit * 64}" for kind in ("serving", "training")}


class Kubernetes:
    """A cluster of the team's own, with KServe, Kubeflow Trainer, Feast, Gateway API, KEDA and Prometheus."""

    name = "kubernetes"
    proved_against = "the real engine and a real API server with the operators' definitions; no operator has run it"
    proofs: Mapping[str, str] = {
        "TrainingJob": "a real API server; TrainJobs that the lab's own controllers run",
        "Endpoint": "a real API server; servers and routes that the lab's own controllers run",
    }
    not_yet: Mapping[str, str] = {
        "FeatureStore.source": "is named at the store; nothing writes the rows yet",
        "FeatureStore.refresh": "is named at the store; nothing writes the rows yet",
        "Endpoint.rollout.label_delay": "labels are kept, and nothing brings captured rows out of the cluster yet: "
        "gates of quality and of drift have no data",
        "DriftMonitor.on_drift=block-promotion": "is told to the job; promotions do not ask it yet",
    }
    shared = True
    place: Mapping[str, tuple[Any, Any]] = {
        "namespace": ("flights", "other-flights"),
        "context": ("cluster", "other-cluster"),
        "images": (_images("1"), _images("2")),
        "tags": ({"cost-center": "ml-1"}, {"cost-center": "ml-2"}),
    }

    def refuse_environment(self, environment: Environment) -> Iterator[tuple[str, str, str]]:
        """Refuse what a cluster has not, and what is missing or not written as Kubernetes writes it."""
        from mlinfra_providers.kubernetes.refusals import refuse_place

        yield from refuse_foreign(environment, self.place)
        yield from refuse_place(environment)

    def refuse(self, part: Part, environment: Environment) -> Iterator[Problem]:
        """Refuse what Kubernetes cannot do, with a reason and a way out."""
        from mlinfra_providers.kubernetes.refusals import refuse_part

        return refuse_part(part, environment)

    def replaced_by(self, type_token: str) -> frozenset[str] | None:
        """Return the inputs that replace a resource: what its handler says; of an object, that it is of another kind.

        Names and namespaces are made of the part's and the environment's own, so that no edit changes them alone.
        """
        from mlinfra_providers.kubernetes.resources import HANDLERS

        name = type_token.removeprefix(_PACKAGE)
        if name in HANDLERS:
            return HANDLERS[name].immutable
        return frozenset({"apiVersion", "kind"}) if type_token.startswith("kubernetes:") else None

    def kept_by(self, type_token: str) -> frozenset[str]:
        """Return the inputs that an `up` leaves as they are: what the handler says."""
        from mlinfra_providers.kubernetes.resources import HANDLERS

        name = type_token.removeprefix(_PACKAGE)
        return HANDLERS[name].kept if name in HANDLERS else frozenset()

    def loses(self, type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
        """Return what those who read a feature store would lose."""
        from mlinfra_providers.kubernetes.losing import lost_features

        if type_token == "kubernetes:core/v1:ConfigMap":
            return lost_features(before, after)
        return None

    def instance(self, need: Compute) -> Instance | None:
        """Return the smallest node on which it fits."""
        return find_machine(need)

    def surround(self, parts: Sequence[ResolvedPart], links: Links) -> Links:
        """Register what all parts share: namespace, bounds, a closed network, who may shift."""
        from mlinfra_providers.kubernetes import around

        return around.surround(parts, links)

    def declare(self, part: ResolvedPart, links: Links) -> Links:
        """Register the part's resources."""
        from mlinfra_providers.kubernetes import drift_monitor, endpoint, feature_store, model_registry, training_job

        declare: dict[type[Part], Callable[[ResolvedPart, Links], Links]] = {
            FeatureStore: feature_store.declare,
            TrainingJob: training_job.declare,
            ModelRegistry: model_registry.declare,
            Endpoint: endpoint.declare,
            DriftMonitor: drift_monitor.declare,
        }
        return declare[type(part.part)](part, links)

    def diagnose(self) -> Iterator[tuple[bool | None, str, str]]:
        """Look for the packages of the extra `kubernetes`."""
        missing = [name for name in ("pulumi_kubernetes", "kubernetes") if find_spec(name) is None]
        if missing:
            yield False, f"packages are missing: {', '.join(missing)}", "pip install 'mlinfra-toolkit[kubernetes]'"
        else:
            yield True, "every package of the extra kubernetes is installed", ""

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return what must exist before the first `up`."""
        from mlinfra_providers.kubernetes.bootstrap import ClusterFoundation

        return ClusterFoundation(environment, source)

    def examine(
        self, environment: Environment, parts: Sequence[ResolvedPart]
    ) -> Iterator[tuple[str, bool | None, str, str]]:
        """Ask about credentials, region, stores, permissions and quotas; change nothing."""
        from mlinfra_providers.kubernetes.doctor import examine

        return examine(environment, parts)

    def service(self, environment: Environment, repository: Path) -> KubernetesService:
        """Return the running side."""
        from mlinfra_providers.kubernetes.service import KubernetesService

        return KubernetesService(environment, repository)

"""The running side of Kubernetes: what is asked and done outside the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.adapters import Ingested, ResolvedPart, Run, ServedRelease, Serving
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.resources import Resources
from mlinfra.rollout.record import RolloutRecord
from mlinfra.rollout.samples import NoData, Samples
from mlinfra_providers.kubernetes import samples
from mlinfra_providers.kubernetes.clients import GATEWAYS, JOBS, SERVICES, TRAIN_JOBS, Cluster
from mlinfra_providers.kubernetes.labelled import (
    COMPONENT,
    CRON_LIMIT,
    LOAD,
    OWNER,
    REGISTRY_LIMIT,
    loader_name,
    name,
    physical_name,
)
from mlinfra_providers.kubernetes.route import GATEWAY, GATEWAY_NAMESPACE, Split, path_of
from mlinfra_providers.kubernetes.series import ENDPOINT, RELEASE
from mlinfra_providers.kubernetes.split import Routing
from mlinfra_providers.kubernetes.truth import CONTAINER, look
from mlinfra_providers.short_names import short_name

if TYPE_CHECKING:
    from mlinfra_providers.remote.labels import Labels

_HTTP_PORT = 80


class KubernetesService:
    """Asks the cluster that the environment names, and Prometheus."""

    def __init__(self, environment: Environment, repository: Path) -> None:
        self._environment = environment
        self._repository = repository
        self._store = (environment.artifacts or "").rstrip("/")
        namespace = environment.namespace or short_name(environment.name, "mlinfra", limit=63)
        self._cluster = Cluster(environment.context or "", namespace)

    def observe(self, endpoint: str) -> Serving:
        """Return the weights in force, and what the pods of each release really run."""
        found = Routing(self._cluster, endpoint).observe()
        if found is None:
            return Serving(endpoint, None, (), 0)
        services = {
            service["metadata"]["labels"].get(RELEASE): service
            for service in self._cluster.list(SERVICES, f"{ENDPOINT}={endpoint}")
        }
        return Serving(
            endpoint=endpoint,
            url=self._url(endpoint),
            releases=[self._served(endpoint, found, release, services.get(release)) for release in found.weights],
            generation=found.generation,
            rollout=RolloutRecord.model_validate(found.rollout) if found.rollout else None,
        )

    def shift(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        generation: int,
        rollout: RolloutRecord | None = None,
        mirror: Mapping[str, int] | None = None,
    ) -> Serving:
        """Set weights and mirror in one write of the route.

        Raises:
            Refused: the generation is not newer, or somebody else shifted at the same time.
            MlinfraError: a release is not behind the endpoint.
        """
        routing = Routing(self._cluster, endpoint)
        known = routing.observe() or Split()
        kept = rollout.to_json() if rollout else known.rollout
        routing.shift(weights, generation, kept, mirror or {})
        return self.observe(endpoint)

    def samples(self, part: ResolvedPart, since: datetime, until: datetime) -> Samples | NoData:
        """Return what Prometheus has of an endpoint's releases in a window, and what their captured requests tell."""
        from mlinfra_providers.remote import watching
        from mlinfra_providers.remote.shipped import Shipped

        releases = [deployment.release.short for deployment in part.deployments]
        called, environment = physical_name(part.part), self._environment
        found = samples.samples(self._cluster.namespace, called, releases, since, until)
        captured, labels = Shipped(environment), self._labels(called)
        return watching.measured(found, environment, self._repository, part, captured, labels)

    def add_labels(self, endpoint: str, labels: Mapping[str, float]) -> int:
        """Keep labels beside the artifacts; return how many requests had none before."""
        return self._labels(endpoint).add(labels)

    def restore(self, recorded: Resources) -> Sequence[str]:
        """Bring nothing back: the cluster does."""
        return ()

    def empty(self, recorded: Resources) -> None:
        """Do nothing: what holds data is deleted with it."""

    def down(self, *, destroy_data: bool) -> Sequence[str]:
        """Delete the runs and the loads, which no `up` made; all else that runs is a resource of the engine."""
        for kind in (TRAIN_JOBS, JOBS):
            for run in self._cluster.list(kind, ""):
                about = run["metadata"]
                # the Jobs of a TrainJob or CronJob go with it
                if OWNER in (about.get("annotations") or {}) and not about.get("ownerReferences"):
                    self._cluster.delete(kind, about["name"])
        return ()

    def train(self, part: ResolvedPart, *, again: bool, say: Callable[[str], None]) -> Run:
        """Run a job as a TrainJob of its runtime, or adopt the run with the same inputs."""
        from mlinfra_providers.kubernetes.jobs import TrainJobs
        from mlinfra_providers.remote.place import Place
        from mlinfra_providers.remote.training import train

        # the runtime's init step brings the code from the store itself
        place = Place(given=self._store, runs=f"{self._store}/jobs/{self._environment.name}")
        jobs = TrainJobs(self._cluster)
        return train(self._environment, self._repository, part, jobs, place, again=again, say=say)

    def ingest(self, part: ResolvedPart, *, say: Callable[[str], None]) -> Ingested:
        """Let a Job beside the database load the rows of a store, where they are due."""
        from mlinfra_providers.kubernetes.feature_rows import FeatureRows
        from mlinfra_providers.remote.ingest import ingest

        rows = FeatureRows(self._cluster, self._environment)
        return ingest(self._environment, self._repository, part, self._store, rows, say)

    def logs(self, part: ResolvedPart) -> Sequence[Path]:
        """Bring the lines of a part's pods here, and return their files; of a training job those of its runs."""
        called = physical_name(part.part)
        if isinstance(part.part, TrainingJob):
            from mlinfra_providers.remote.logs import of_runs

            return of_runs(self._repository, self._environment.name, called)
        chosen = {
            Endpoint: (f"{ENDPOINT}={called}", CONTAINER),
            FeatureStore: (f"{COMPONENT}={loader_name(part.part)}", LOAD),
            DriftMonitor: (f"{COMPONENT}={name(part.part, 'drift', limit=CRON_LIMIT)}", "drift"),
            ModelRegistry: (f"{COMPONENT}={name(part.part, 'registry', limit=REGISTRY_LIMIT)}", "mlflow"),
        }.get(type(part.part))
        if chosen is None:
            return ()
        pods = sorted(self._cluster.pods(chosen[0]), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        return [self._bring_log(called, pod["metadata"]["name"], chosen[1]) for pod in pods]

    def drift(self, part: ResolvedPart, window: str) -> Mapping[str, Any]:
        """Run the drift job on one window now, beside its schedule."""
        from mlinfra_providers.kubernetes.on_demand import measure

        return measure(self._cluster, name(part.part, "drift", limit=CRON_LIMIT), window)

    def _labels(self, endpoint: str) -> Labels:
        from mlinfra_providers.remote.labels import Labels

        return Labels(f"{self._store}/labels/{self._environment.name}/{endpoint}")

    def _bring_log(self, part: str, pod: str, container: str) -> Path:
        from mlinfra_providers.remote.logs import write

        lines = self._cluster.log(pod, container).splitlines()
        return write(self._repository, self._environment.name, f"pods/{part}/{pod}", lines)

    def _url(self, endpoint: str) -> str | None:
        """Return the endpoint's address at the gateway; None before the gateway has one."""
        gateway = self._cluster.get(GATEWAYS, GATEWAY, namespace=GATEWAY_NAMESPACE) or {}
        addresses = gateway.get("status", {}).get("addresses") or ()
        if not addresses:
            return None
        port = next((item["port"] for item in gateway["spec"]["listeners"] if item["protocol"] == "HTTP"), _HTTP_PORT)
        host = addresses[0]["value"] if port == _HTTP_PORT else f"{addresses[0]['value']}:{port}"
        return f"http://{host}{path_of(self._cluster.namespace, endpoint)}"

    def _served(self, endpoint: str, found: Split, release: str, service: Mapping[str, Any] | None) -> ServedRelease:
        weight = found.weights[release]
        if service is None:
            return ServedRelease(release, weight, healthy=False, last_failure="its InferenceService is gone")
        conditions = service.get("status", {}).get("conditions") or ()
        ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
        failures = [item["message"] for item in conditions if item["status"] == "False" and item.get("message")]
        pods = look(self._cluster, endpoint, release, found.backends.get(release, ""))
        return ServedRelease(
            release=release,
            weight=weight,
            healthy=ready and pods.ready > 0,
            artifact=pods.serves.get("artifact"),
            image=pods.serves.get("image"),
            replicas=pods.ready,
            last_failure=pods.failure or (failures[0] if failures else None),
        )

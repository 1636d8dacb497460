"""The running side of Vertex AI: what is asked and done outside the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlinfra.adapters import Ingested, ResolvedPart, Run, ServedRelease, Serving
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.resources import Resources
from mlinfra.rollout.record import RolloutRecord
from mlinfra.rollout.samples import NoData, Samples
from mlinfra_providers.remote import watching
from mlinfra_providers.remote.labels import Labels
from mlinfra_providers.vertex import samples
from mlinfra_providers.vertex.captured import RequestLogging
from mlinfra_providers.vertex.clients import Clients, explained, found
from mlinfra_providers.vertex.logs import logs
from mlinfra_providers.vertex.naming import endpoint_id, location, physical_name
from mlinfra_providers.vertex.split import InForce, Split, newest
from mlinfra_providers.vertex.storage import bucket_name, data_uri
from mlinfra_providers.vertex.traffic import record_key
from mlinfra_providers.vertex.training_job import given_uri, runs_uri

_DIGEST = "MLINFRA_SERVING_MODEL_DIGEST"


class VertexService:
    """Asks Vertex AI, Cloud Monitoring and the environment's bucket."""

    def __init__(self, environment: Environment, repository: Path) -> None:
        self._environment = environment
        self._repository = repository
        self._clients = Clients(environment.account or "", environment.region or "")

    def observe(self, endpoint: str) -> Serving:
        """Return the split in force, and what each deployed model really runs."""
        now = self._split(endpoint).observe()
        if now is None:
            return Serving(endpoint, None, (), 0)
        rollout = now.remembered.rollout
        return Serving(
            endpoint=endpoint,
            url=now.remembered.url,
            releases=[self._served(now, item) for item in now.endpoint.deployed_models if _is_newest(now, item)],
            generation=now.remembered.generation,
            rollout=RolloutRecord.model_validate(rollout) if rollout else None,
            asked_by=f'curl -s {now.remembered.url} -H "Authorization: Bearer $(gcloud auth print-access-token)" '
            "-H 'content-type: application/json' -d @{request}",
        )

    def shift(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        generation: int,
        rollout: RolloutRecord | None = None,
        mirror: Mapping[str, int] | None = None,
    ) -> Serving:
        """Set the split, after what is remembered: it is in force when Vertex AI has answered.

        Raises:
            Refused: the generation is not newer.
            MlinfraError: a release is not deployed, or copies of requests are asked for.
        """
        if mirror:
            raise MlinfraError("vertex: an endpoint sends no copies of requests", remedy="leave rollout.shadow out")
        split = self._split(endpoint)
        split.set(weights, generation, rollout.to_json() if rollout else split.remembered().rollout)
        return self.observe(endpoint)

    def samples(self, part: ResolvedPart, since: datetime, until: datetime) -> Samples | NoData:
        """Return what Cloud Monitoring has of what is deployed, in a window, and what captured requests tell."""
        endpoint = physical_name(part.part)
        now = self._split(endpoint).observe()
        if now is None or not now.endpoint.deployed_models:
            return NoData("nothing is deployed yet")
        id_ = endpoint_id(self._environment.name, endpoint)
        found = samples.samples(self._environment.account or "", id_, newest(now.endpoint), since, until)
        captured, labels = RequestLogging(self._environment), self._labels(endpoint)
        return watching.measured(found, self._environment, self._repository, part, captured, labels)

    def add_labels(self, endpoint: str, labels: Mapping[str, float]) -> int:
        """Keep labels in the environment's bucket; return how many requests had none before."""
        return self._labels(endpoint).add(labels)

    def restore(self, recorded: Resources) -> Sequence[str]:
        """Bring nothing back: no reboot ends what Vertex AI runs."""
        return ()

    def empty(self, recorded: Resources) -> None:
        """Do nothing: what holds data is deleted with it."""

    def down(self, *, destroy_data: bool) -> Sequence[str]:
        """End nothing: all that runs is a resource of the engine."""
        return ()

    def train(self, part: ResolvedPart, *, again: bool, say: Callable[[str], None]) -> Run:
        """Run a job as a custom job, or adopt the finished run with the same inputs."""
        from mlinfra_providers.remote.training import Place, train
        from mlinfra_providers.vertex.jobs import CustomJobs

        environment = self._environment
        place = Place(given_uri(environment), runs_uri(environment, part))
        jobs = CustomJobs(environment, self._clients)
        return train(environment, self._repository, part, jobs, place, again=again, say=say)

    def ingest(self, part: ResolvedPart, *, say: Callable[[str], None]) -> Ingested:
        """Load a feature store's rows into its table of BigQuery, and have the newest brought online."""
        from mlinfra_providers.remote.ingest import ingest
        from mlinfra_providers.vertex.feature_rows import FeatureRows

        writer = FeatureRows(self._environment, self._clients)
        return ingest(self._environment, self._repository, part, given_uri(self._environment), writer, say)

    def logs(self, part: ResolvedPart) -> Sequence[Path]:
        """Bring the newest lines of a part from Cloud Logging into files; return them, oldest first."""
        return logs(self._clients, self._environment, self._repository, part)

    def drift(self, part: ResolvedPart, window: str) -> Mapping[str, Any]:
        """Measure a monitor's window here, on what Vertex AI captured."""
        monitor = part.part
        assert isinstance(monitor, DriftMonitor)
        serving = self.observe(physical_name(monitor.endpoint))
        captured = RequestLogging(self._environment)
        return watching.drift(self._environment, self._repository, part, window, captured, serving)

    def _labels(self, endpoint: str) -> Labels:
        return Labels(data_uri(self._environment, "labels", endpoint))

    def _split(self, endpoint: str) -> Split:
        environment = self._environment
        return Split(
            self._clients,
            f"{location(environment)}/endpoints/{endpoint_id(environment.name, endpoint)}",
            bucket_name(environment),
            record_key(environment.name, endpoint),
        )

    def _served(self, now: InForce, item: Any) -> ServedRelease:
        """Return a release as it serves: image and digest are those of the version that the server was started with."""
        with explained(f"reading the model {item.model}"):
            name = item.model.partition("@")[0]
            model = found(self._clients.models.get_model, name=f"{name}@{item.model_version_id}")
        container = model.container_spec if model is not None else None
        settings = {entry.name: entry.value for entry in container.env} if container is not None else {}
        status = item.status
        return ServedRelease(
            release=item.display_name,
            weight=now.weights[item.display_name],
            healthy=status.available_replica_count > 0,
            artifact=settings.get(_DIGEST),
            image=container.image_uri if container is not None else None,
            replicas=status.available_replica_count,
            last_failure=status.message or None,
        )


def _is_newest(now: InForce, item: Any) -> bool:
    return newest(now.endpoint)[item.display_name] == str(item.id)

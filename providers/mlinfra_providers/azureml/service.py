"""The running side of Azure ML: what is asked and done outside the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from mlinfra.adapters import Ingested, ResolvedPart, Run, ServedRelease, Serving
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.resources import Resources
from mlinfra.rollout.record import RolloutRecord
from mlinfra.rollout.samples import NoData, Samples
from mlinfra_providers.azureml import samples
from mlinfra_providers.azureml.clients import Azure
from mlinfra_providers.azureml.naming import endpoint_name, physical_name, workspace_name
from mlinfra_providers.azureml.places import abfs, given, records, runs
from mlinfra_providers.azureml.split import InForce, Split, newest, release_of
from mlinfra_providers.azureml.traffic import traffic_record
from mlinfra_providers.remote import watching
from mlinfra_providers.remote.labels import Labels
from mlinfra_providers.remote.logs import of_runs
from mlinfra_providers.remote.shipped import Shipped

_DIGEST = "MLINFRA_SERVING_MODEL_DIGEST"


class AzureMLService:
    """Asks Azure ML, Azure Monitor and the store of models."""

    def __init__(self, environment: Environment, repository: Path) -> None:
        self._environment = environment
        self._repository = repository
        self._azure = Azure(environment.account or "", environment.resource_group or "", workspace_name(environment))

    def observe(self, endpoint: str) -> Serving:
        """Return the split in force, and what each deployment really runs."""
        now = self._split(endpoint).observe()
        if now is None:
            return Serving(endpoint, None, (), 0)
        rollout = now.remembered.rollout
        names = newest(now.deployments)
        return Serving(
            endpoint=endpoint,
            url=now.endpoint["properties"].get("scoringUri"),
            releases=[self._served(now, name) for name in now.deployments if names[release_of(name)] == name],
            generation=now.remembered.generation,
            rollout=RolloutRecord.model_validate(rollout) if rollout else None,
            asked_by=f"az ml online-endpoint invoke --resource-group {self._environment.resource_group} "
            f"--workspace-name {workspace_name(self._environment)} --name {endpoint_name(self._environment, endpoint)} "
            "--request-file {request}",
        )

    def shift(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        generation: int,
        rollout: RolloutRecord | None = None,
        mirror: Mapping[str, int] | None = None,
    ) -> Serving:
        """Set the split, after what is remembered: it is in force when Azure ML says that the endpoint is there.

        At most half of the requests are copied, whatever `mirror` asks for.

        Raises:
            Refused: the generation is not newer.
            MlinfraError: a release is not deployed.
        """
        split = self._split(endpoint)
        split.set(weights, generation, rollout.to_json() if rollout else split.remembered().rollout, mirror)
        return self.observe(endpoint)

    def samples(self, part: ResolvedPart, since: datetime, until: datetime) -> Samples | NoData:
        """Return what Azure Monitor has of what is deployed, in a window, and what captured requests tell."""
        endpoint = physical_name(part.part)
        now = self._split(endpoint).observe()
        if now is None or not now.deployments:
            return NoData("nothing is deployed yet")
        environment = self._environment
        called = endpoint_name(environment, endpoint)
        found = samples.samples(self._azure, called, newest(now.deployments), since, until)
        labels = self._labels(endpoint)
        return watching.measured(found, environment, self._repository, part, Shipped(environment), labels)

    def add_labels(self, endpoint: str, labels: Mapping[str, float]) -> int:
        """Keep labels beside the models; return how many requests had none before."""
        return self._labels(endpoint).add(labels)

    def restore(self, recorded: Resources) -> Sequence[str]:
        """Bring nothing back: no reboot ends what Azure ML runs."""
        return ()

    def empty(self, recorded: Resources) -> None:
        """Do nothing: what holds data is deleted with it."""

    def down(self, *, destroy_data: bool) -> Sequence[str]:
        """End nothing: all that runs is a resource of the engine."""
        return ()

    def train(self, part: ResolvedPart, *, again: bool, say: Callable[[str], None]) -> Run:
        """Run a command job, or adopt the finished run with the same inputs."""
        from mlinfra_providers.azureml.jobs import CommandJobs
        from mlinfra_providers.remote import training
        from mlinfra_providers.remote.place import Place

        environment = self._environment
        made = runs(environment, physical_name(part.part))
        place = Place(given=abfs(given(environment)), runs=abfs(made))
        jobs = CommandJobs(environment, self._azure)
        return training.train(environment, self._repository, part, jobs, place, again=again, say=say)

    def ingest(self, part: ResolvedPart, *, say: Callable[[str], None]) -> Ingested:
        """Write the rows beside the models, and let Spark bring them to the store; that goes on without this."""
        from mlinfra_providers.azureml.feature_rows import FeatureRows
        from mlinfra_providers.remote.ingest import ingest

        environment, writer = self._environment, FeatureRows(self._environment)
        done = ingest(environment, self._repository, part, abfs(given(environment)), writer, say)
        if not done.written:
            writer.go_on(part, say)
        return done

    def logs(self, part: ResolvedPart) -> Sequence[Path]:
        """Return what training runs printed that were asked for here.

        Raises:
            MlinfraError: lines of other parts are in Log Analytics, and nothing fetches them yet.
        """
        if not isinstance(part.part, TrainingJob):
            _not_yet("logs of anything but training jobs")
        return of_runs(self._repository, self._environment.name, physical_name(part.part))

    def drift(self, part: ResolvedPart, window: str) -> Mapping[str, Any]:
        """Measure a monitor's window here, on what the servers captured."""
        monitor, environment = part.part, self._environment
        assert isinstance(monitor, DriftMonitor)
        serving = self.observe(physical_name(monitor.endpoint))
        return watching.drift(environment, self._repository, part, window, Shipped(environment), serving)

    def _labels(self, endpoint: str) -> Labels:
        return Labels(abfs(records(self._environment, "labels", endpoint)))

    def _split(self, endpoint: str) -> Split:
        environment = self._environment
        return Split(self._azure, endpoint_name(environment, endpoint), traffic_record(environment, endpoint))

    def _served(self, now: InForce, name: str) -> ServedRelease:
        """Return a release as it serves: image and digest are those that the server was started with."""
        item = now.deployments[name]
        properties = item["properties"]
        state = properties.get("provisioningState", "")
        return ServedRelease(
            release=release_of(name),
            weight=now.weights[release_of(name)],
            healthy=state == "Succeeded",
            artifact=(properties.get("environmentVariables") or {}).get(_DIGEST),
            image=self._image(properties.get("environmentId")),
            replicas=(item.get("sku") or {}).get("capacity"),
            last_failure=None if state in ("Succeeded", "Updating", "Creating") else f"the deployment is {state}",
        )

    def _image(self, environment_id: str | None) -> str | None:
        """Return the image of an environment of the workspace."""
        if environment_id is None:
            return None
        *_, called, _, version = environment_id.split("/")
        found = self._azure.get(f"environments/{called}/versions/{version}") or {}
        image: str | None = found.get("properties", {}).get("image")
        return image


def _not_yet(what: str) -> NoReturn:
    raise MlinfraError(
        f"azureml: {what}: not carried out yet",
        remedy="see `mlinfra targets`; a release that was trained elsewhere can be promoted to here",
    )

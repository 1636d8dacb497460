"""The running side of SageMaker: what is asked and done outside the engine."""

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
from mlinfra_providers.remote import watching
from mlinfra_providers.remote.labels import Labels
from mlinfra_providers.sagemaker import samples
from mlinfra_providers.sagemaker.around import data_uri
from mlinfra_providers.sagemaker.captured import DataCapture
from mlinfra_providers.sagemaker.clients import Clients, explained
from mlinfra_providers.sagemaker.emptying import empty
from mlinfra_providers.sagemaker.jobs import Pipelines
from mlinfra_providers.sagemaker.logs import logs
from mlinfra_providers.sagemaker.naming import SAGEMAKER_LIMIT, physical_name
from mlinfra_providers.sagemaker.split import InForce, Split
from mlinfra_providers.sagemaker.storage import bucket_name
from mlinfra_providers.sagemaker.strays import Strays
from mlinfra_providers.sagemaker.strays_around import StraysAround
from mlinfra_providers.sagemaker.traffic import record_key
from mlinfra_providers.sagemaker.training_job import place
from mlinfra_providers.short_names import short_name

_ANSWERING = ("InService", "Updating", "SystemUpdating", "RollingBack")
"""The states in which an endpoint answers (botocore: EndpointStatus): while it changes, what was there before does."""


class SageMakerService:
    """Asks SageMaker, CloudWatch and the environment's bucket."""

    def __init__(self, environment: Environment, repository: Path) -> None:
        self._environment = environment
        self._repository = repository
        self._clients = Clients(environment.account or "", environment.region or "")

    def observe(self, endpoint: str) -> Serving:
        """Return the weights in force, and what each variant really runs."""
        found = self._split(endpoint).observe()
        if found is None:
            return Serving(endpoint, None, (), 0)
        return Serving(
            endpoint=endpoint,
            url=f"https://runtime.sagemaker.{self._environment.region}.amazonaws.com/endpoints/"
            f"{found.endpoint['EndpointName']}/invocations",
            releases=[self._served(found, variant) for variant in found.endpoint.get("ProductionVariants", ())],
            generation=found.generation,
            rollout=RolloutRecord.model_validate(found.rollout) if found.rollout else None,
            asked_by=f"aws sagemaker-runtime invoke-endpoint --region {self._environment.region} --endpoint-name "
            f"{found.endpoint['EndpointName']} --content-type application/json --body fileb://{{request}} /dev/stdout",
        )

    def shift(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        generation: int,
        rollout: RolloutRecord | None = None,
        mirror: Mapping[str, int] | None = None,
    ) -> Serving:
        """Set the weights, after what is remembered; wait until they are in force, behind an update that runs.

        Raises:
            Refused: the generation is not newer.
            MlinfraError: a release has no variant, or copies of requests are asked for.
        """
        if mirror:
            _not_yet("copies of requests")
        split = self._split(endpoint)
        kept = rollout.to_json() if rollout else split.remembered().rollout
        split.set(weights, generation, kept)
        return self.observe(endpoint)

    def samples(self, part: ResolvedPart, since: datetime, until: datetime) -> Samples | NoData:
        """Return what CloudWatch has of an endpoint's variants in a window, and what their captured requests tell."""
        variants, endpoint = [deployment.release.short for deployment in part.deployments], physical_name(part.part)
        found = samples.samples(self._clients("cloudwatch"), self._called(endpoint), variants, since, until)
        captured, labels = DataCapture(self._environment, self._clients), self._labels(endpoint)
        return watching.measured(found, self._environment, self._repository, part, captured, labels)

    def add_labels(self, endpoint: str, labels: Mapping[str, float]) -> int:
        """Keep labels in the environment's bucket; return how many requests had none before."""
        return self._labels(endpoint).add(labels)

    def restore(self, recorded: Resources) -> Sequence[str]:
        """Remove what a killed run made and did not record; no reboot ends what SageMaker runs."""
        strays = Strays(self._clients, self._environment.name)
        around = StraysAround(self._clients, self._environment, strays.since)
        return [*strays.remove(recorded), *around.remove(recorded)]

    def empty(self, recorded: Resources) -> None:
        """Remove what is in the buckets and model package groups that the state has."""
        empty(self._clients, self._environment, recorded)

    def down(self, *, destroy_data: bool) -> Sequence[str]:
        """End what serves and was not recorded. What is kept, the state says; a bucket of the team's is in none."""
        list(Strays(self._clients, self._environment.name).end())
        if destroy_data and self._environment.bucket is not None:
            return [f"what is under {data_uri(self._environment)}/: the bucket is not mlinfra's"]
        return ()

    def train(self, part: ResolvedPart, *, again: bool, say: Callable[[str], None]) -> Run:
        """Start the job's pipeline and wait for it, or adopt the run with the same inputs."""
        from mlinfra_providers.remote.training import train

        job = part.part
        assert isinstance(job, TrainingJob)
        jobs, where = Pipelines(self._environment, self._clients), place(self._environment, job)
        return train(self._environment, self._repository, part, jobs, where, again=again, say=say)

    def ingest(self, part: ResolvedPart, *, say: Callable[[str], None]) -> Ingested:
        """Write a feature store's rows as records of its feature group."""
        from mlinfra_providers.remote.ingest import ingest
        from mlinfra_providers.sagemaker.feature_rows import FeatureRows

        environment, given = self._environment, data_uri(self._environment, "given", "rows")
        writer = FeatureRows(environment, self._clients)
        return ingest(environment, self._repository, part, given, writer, say)

    def logs(self, part: ResolvedPart) -> Sequence[Path]:
        """Bring the newest lines of a part from CloudWatch into files; return them, oldest first."""
        return logs(self._clients, self._environment, self._repository, part)

    def drift(self, part: ResolvedPart, window: str) -> Mapping[str, Any]:
        """Measure a monitor's window here, on what SageMaker captured."""
        monitor = part.part
        assert isinstance(monitor, DriftMonitor)
        serving = self.observe(physical_name(monitor.endpoint))
        captured = DataCapture(self._environment, self._clients)
        return watching.drift(self._environment, self._repository, part, window, captured, serving)

    def _labels(self, endpoint: str) -> Labels:
        return Labels(data_uri(self._environment, "labels", endpoint))

    def _called(self, endpoint: str) -> str:
        return short_name(self._environment.name, endpoint, limit=SAGEMAKER_LIMIT)

    def _split(self, endpoint: str) -> Split:
        return Split(
            self._clients,
            self._called(endpoint),
            bucket_name(self._environment),
            record_key(self._environment.name, endpoint),
        )

    def _served(self, found: InForce, variant: Mapping[str, Any]) -> ServedRelease:
        release, replicas = variant["VariantName"], variant.get("CurrentInstanceCount")
        images = variant.get("DeployedImages") or [{}]
        return ServedRelease(
            release=release,
            weight=found.weights[release],
            healthy=found.endpoint["EndpointStatus"] in _ANSWERING and bool(replicas),
            artifact=self._artifact(found.endpoint["EndpointConfigName"], release),
            image=images[0].get("ResolvedImage"),
            replicas=replicas,
            last_failure=found.endpoint.get("FailureReason"),
        )

    def _artifact(self, configuration: str, release: str) -> str | None:
        """Return the digest that the model package of a variant was registered with: the server checks it."""
        api = self._clients("sagemaker")
        with explained(f"reading the configuration {configuration}"):
            variants = api.describe_endpoint_config(EndpointConfigName=configuration)["ProductionVariants"]
            model = next(item["ModelName"] for item in variants if item["VariantName"] == release)
            package = api.describe_model(ModelName=model)["PrimaryContainer"].get("ModelPackageName")
            if package is None:
                return None
            kept = api.describe_model_package(ModelPackageName=package).get("CustomerMetadataProperties", {})
        artifact: str | None = kept.get("artifact")
        return artifact


def _not_yet(what: str) -> NoReturn:
    raise MlinfraError(
        f"sagemaker: {what}: not carried out yet",
        remedy="see `mlinfra targets`; a release that was trained elsewhere can be promoted to here",
    )

"""A small target of its own: one resource for each part, one for each deployed release."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pulumi

from mlinfra.adapters import Deployment, Ingested, Instance, Links, ResolvedPart, Run, Serving
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.foundation import NOTHING, Foundation, SourceHost
from mlinfra.place import refuse_foreign
from mlinfra.problems import Problem
from mlinfra.resources import Resources
from mlinfra.rollout.record import RolloutRecord
from mlinfra.rollout.samples import NoData, Samples

TYPES = {
    "feature_stores": "acme:features:Table",
    "training_jobs": "acme:training:Job",
    "model_registries": "acme:models:Shelf",
    "endpoints": "acme:serving:Address",
    "drift_monitors": "acme:serving:Watch",
}
SERVER = "acme:serving:Server"
MACHINES = (Instance("small", 2, 8), Instance("large", 32, 256), Instance("graphics", 16, 128, 4))
"""Cheapest first."""


class Resource(pulumi.CustomResource):
    """A resource of the acme provider."""

    address: pulumi.Output[str]

    def __init__(self, token: str, name: str, inputs: Mapping[str, Any], options: pulumi.ResourceOptions) -> None:
        super().__init__(token, name, {**inputs, "address": None}, options)


class Acme:
    """Refuses spot machines and webhooks; limits the time of a run by its launcher, not by a resource."""

    name = "acme"
    proved_against = "nothing: there is no acme"
    proofs: Mapping[str, str] = {}
    not_yet: Mapping[str, str] = {}
    shared = True
    place: Mapping[str, tuple[Any, Any]] = {"region": ("north", "south")}

    def refuse_environment(self, environment: Environment) -> Iterator[tuple[str, str, str]]:
        """Refuse state on this machine, and every place but a region."""
        yield from refuse_foreign(environment, self.place)
        if environment.state and environment.state.startswith("file://"):
            yield "state", "cannot reach this machine", "name a bucket: s3://bucket"

    def refuse(self, part: Part, environment: Environment) -> Iterator[Problem]:
        """Refuse what acme has not."""
        if isinstance(part, TrainingJob) and part.spot:
            yield self.refusal(part, "spot", "acme has no spot machines", "false")
        if isinstance(part, DriftMonitor) and part.on_drift == "webhook":
            yield self.refusal(part, "on_drift", "acme calls nobody", "log")

    def refusal(self, part: Part, field: str, reason: str, instead: str) -> Problem:
        """Return a refusal with its way out."""
        path = f"{part.key}.{field}"
        return Problem("", 0, path, f"{self.name} refuses this: {reason}", remedy=f"override: {{{path}: {instead}}}")

    def replaced_by(self, type_token: str) -> frozenset[str] | None:
        """Every resource of acme is replaced when its name changes."""
        return frozenset({"label"}) if type_token in {*TYPES.values(), SERVER} else None

    def kept_by(self, type_token: str) -> frozenset[str]:
        """Nothing is left as it is."""
        return frozenset()

    def loses(self, type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
        """Nobody reads acme's data."""
        return None

    def id_of(self, environment: Environment, type_token: str, inputs: Mapping[str, Any]) -> str | None:
        """Only acme knows."""
        return None

    def instance(self, need: Compute) -> Instance | None:
        """Return the cheapest machine that fits."""
        for machine in MACHINES:
            if machine.cpus >= need.cpus and machine.memory_gib >= need.memory_gib and machine.gpus >= need.gpus:
                return machine
        return None

    def surround(self, parts: Sequence[ResolvedPart], links: Links) -> Links:
        """Share nothing."""
        return links

    def declare(self, part: ResolvedPart, links: Links) -> Links:
        """Register a resource for the part, and one for each release that is deployed."""
        servers = [self.server(part, deployment, links) for deployment in part.deployments]
        inputs = {
            **self.inputs(part, links),
            "upstreams": [server.id for server in servers],
            "parents": [links.of(reference)["resource"].id for reference in part.part.references()],
        }
        options = pulumi.ResourceOptions(parent=links.parent, protect=self.protects(part.part))
        made = Resource(TYPES[part.part.plural], part.part.name, inputs, options)
        return links.giving(part, resource=made, url=made.address)

    def protects(self, part: Part) -> bool:
        """Return whether the part's resource holds data."""
        return part.stateful

    def label(self, part: Part) -> str:
        """Return the name at acme."""
        return part.renamed_from or part.name

    def inputs(self, part: ResolvedPart, links: Links) -> dict[str, Any]:
        """Return what acme is told of a part."""
        fields = self.fields(part.part)
        machine = part.instance.name if part.instance else None
        surroundings = {
            "environment": links.environment.name,
            "owner": part.owner,
            "files": part.code,
            "machine": machine,
            "webhook": links.environment.webhook,
            "region": links.environment.region,
        }
        return {**fields, **surroundings, "label": self.label(part.part)}

    def fields(self, part: Part) -> dict[str, Any]:
        """Return the declared fields, without the name, and without the limit that the launcher keeps."""
        return {key: value for key, value in part.spec().items() if key not in ("name", "renamed_from", "max_runtime")}

    def server(self, part: ResolvedPart, deployment: Deployment, links: Links) -> Resource:
        """Register a server of one release."""
        endpoint = deployment.part
        assert isinstance(endpoint, Endpoint)
        inputs = {
            **self.fields(endpoint),
            "label": f"{self.label(part.part)}-{deployment.release.short}",
            "artifact": deployment.release.identity.artifact,
            "artifacts": links.environment.artifacts,
        }
        ignored = ["*"] if deployment.frozen else None
        options = pulumi.ResourceOptions(parent=links.parent, ignore_changes=ignored)
        return Resource(SERVER, f"{part.part.name}-{deployment.release.short}", inputs, options)

    def diagnose(self) -> Iterator[tuple[bool | None, str, str]]:
        """Say that there is no acme."""
        yield False, "there is no acme", "found it"

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Say that acme needs nothing before the first `up`."""
        return NOTHING

    def examine(
        self, environment: Environment, parts: Sequence[ResolvedPart]
    ) -> Iterator[tuple[str, bool | None, str, str]]:
        """Say that nobody can be asked."""
        yield "credentials", None, "there is no acme", ""

    def service(self, environment: Environment, repository: Path) -> AcmeService:
        """Return the running side."""
        return AcmeService()


class AcmeService:
    """Knows nothing, since there is no acme."""

    def observe(self, endpoint: str) -> Serving:
        """Return that nothing serves."""
        return Serving(endpoint, None, (), 0)

    def shift(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        generation: int,
        rollout: RolloutRecord | None = None,
        mirror: Mapping[str, int] | None = None,
    ) -> Serving:
        """Shift nothing."""
        return self.observe(endpoint)

    def samples(self, part: ResolvedPart, since: datetime, until: datetime) -> Samples | NoData:
        """Measure nothing."""
        return NoData("nothing serves here")

    def add_labels(self, endpoint: str, labels: Mapping[str, float]) -> int:
        """Keep nothing."""
        return 0

    def restore(self, recorded: Resources) -> Sequence[str]:
        """Bring nothing back."""
        return ()

    def empty(self, recorded: Resources) -> None:
        """Remove nothing."""

    def down(self, *, destroy_data: bool) -> Sequence[str]:
        """Keep nothing."""
        return ()

    def train(self, part: ResolvedPart, *, again: bool, say: Callable[[str], None]) -> Run:
        """Run nothing, for at most the declared time."""
        job = part.part
        assert isinstance(job, TrainingJob)
        say(f"stops after {job.max_runtime}")
        return Run("none", "failed", {}, (), 0.0, False, "")

    def ingest(self, part: ResolvedPart, *, say: Callable[[str], None]) -> Ingested:
        """Write nothing."""
        return Ingested(0, "", "", written=False)

    def logs(self, part: ResolvedPart) -> Sequence[Path]:
        """Return no logs."""
        return ()

    def drift(self, part: ResolvedPart, window: str) -> Mapping[str, Any]:
        """Measure nothing."""
        return {}

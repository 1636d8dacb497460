"""An endpoint of at most three machines, and a job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlinfra import Scale
from mlinfra.adapters import Instance, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.testing.specimens import SMALL

MOST = 3


def _resolved(part: Part, instance: Instance | None) -> ResolvedPart:
    return ResolvedPart("flights", "flights@example.com", "flights", "sha256:0", part, instance)


def parts(instance: Instance, job: Instance | None = None, **more: Any) -> list[ResolvedPart]:
    """Return them on these machines."""
    compute = Compute(cpus=int(instance.cpus), memory_gib=instance.memory_gib)
    endpoint, training = SMALL[Endpoint], SMALL[TrainingJob]
    assert isinstance(endpoint, Endpoint)
    assert isinstance(training, TrainingJob)
    endpoint = replace(endpoint, compute=compute, scale=Scale(min=1, max=MOST, target_rps=50))
    training = replace(training, compute=compute, **more)
    return [_resolved(endpoint, instance), _resolved(training, job or instance)]

"""Training on this machine: from a resolved job to a run, its inputs joined by the feature store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mlinfra.adapters import ResolvedPart, Run
from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra_providers.local import runs
from mlinfra_providers.local.ingest import ingest
from mlinfra_providers.local.inputs import read_inputs
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.local.tracking import Tracker
from mlinfra_providers.run_record import Request

Say = Callable[[str], None]

SPOT_NICENESS = 19
"""On one machine, `spot` means to give way to everything else."""


def train(layout: Layout, environment: Environment, part: ResolvedPart, *, again: bool, say: Say) -> Run:
    """Read the job's inputs, then run it, or adopt the finished run with the same inputs.

    Raises:
        MlinfraError: a source fails, or what the run makes cannot be kept.
    """
    job = part.part
    assert isinstance(job, TrainingJob)
    folder = layout.repository / "stacks" / part.folder
    for input_ in part.part.references():
        ingest(layout, environment, replace(part, part=input_))
    request = Request(
        job=physical_name(job),
        folder=folder,
        script=job.code,
        inputs=read_inputs(layout, part, say),
        params=dict(job.params),
        accept=[check.spec() for check in job.accept],
        cpus=job.compute.cpus,
        memory_gib=job.compute.memory_gib,
        max_runtime_seconds=seconds(job.max_runtime),
        niceness=SPOT_NICENESS if job.spot else 0,
    )
    store = ArtifactStore(environment.artifacts or layout.artifacts_url)
    with Tracker(layout) as tracker:
        return runs.train(request, layout, store, tracker, again=again, say=say).to_run()


def logs(layout: Layout, name: str) -> list[Path]:
    """Return the log files of a job's runs, oldest first."""
    return runs.logs(layout, name)

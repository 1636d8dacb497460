"""Runs of training jobs: command jobs of Azure ML, under a name made of what they are made of.

https://learn.microsoft.com/rest/api/azureml/jobs/create-or-update: a job runs when it is created. What a status means:
https://learn.microsoft.com/rest/api/azureml/jobs/get#jobstatus.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.azureml.clients import Azure, read_blob
from mlinfra_providers.azureml.naming import physical_name
from mlinfra_providers.azureml.places import runs
from mlinfra_providers.azureml.training_job import LOG, command_job
from mlinfra_providers.remote.jobs import Job, Phase, State, fetch_folder

_PHASES = {
    **dict.fromkeys(("NotStarted", "Starting", "Provisioning", "Preparing", "Queued", "Scheduled"), Phase.WAITING),
    "Completed": Phase.SUCCEEDED,
    "Failed": Phase.FAILED,
    "Canceled": Phase.STOPPED,
}
"""Every other status is of a job that has not ended."""
_REASONS = {
    Phase.WAITING: "a cluster that was empty needs minutes for its first machine",
    Phase.FAILED: "Azure ML says Failed",
    Phase.STOPPED: "canceled: its time was up, or somebody ended it",
}


class CommandJobs:
    """The jobs of one environment's workspace."""

    def __init__(self, environment: Environment, azure: Azure) -> None:
        self._environment = environment
        self._azure = azure

    def submit(self, job: Job) -> None:
        """Create the job, or find it created.

        Raises:
            MlinfraError: Azure ML refuses it.
        """
        trees = {"code": job.code.digest, **{name: tree.digest for name, tree in job.inputs.items()}}
        body = {"properties": command_job(job.part, self._environment, job.name, trees)}
        try:
            self._azure.put(self._path(job), body)
        except MlinfraError:
            # a job that is there is never changed: whoever came first has created it
            if self._azure.get(self._path(job)) is None:
                raise

    def state(self, job: Job) -> State | None:
        """Return where a job is."""
        found = self._azure.get(self._path(job))
        if found is None:
            return None
        phase = _PHASES.get(found["properties"].get("status", ""), Phase.RUNNING)
        return State(phase, _REASONS.get(phase, ""))

    def lines(self, job: Job, skip: int) -> Sequence[str]:
        """Return what it printed: Azure ML shows a file of its output when the job has closed it."""
        found = read_blob(runs(self._environment, physical_name(job.part.part)).below(job.name, LOG))
        return found[0].decode(errors="replace").splitlines()[skip:] if found else ()

    def stop(self, job: Job) -> None:
        """Cancel it."""
        self._azure.post(f"{self._path(job)}/cancel")

    def fetch(self, job: Job, to: Path) -> None:
        """Bring what it left."""
        fetch_folder(job.output, to)

    def _path(self, job: Job) -> str:
        return f"jobs/{self._environment.name}-{job.name}"

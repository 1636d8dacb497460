"""Runs of training jobs: custom jobs of Vertex AI, made of the definition that `up` keeps in the bucket.

A custom job gets its id from Google, so a run is found by its display name, which is made of what it is made of
(https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.customJobs/list). Where two began one at
the same time, the older one counts, and the other is cancelled by who made it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.remote.jobs import Job, Phase, State, fetch_folder
from mlinfra_providers.vertex.clients import Clients, explained, found
from mlinfra_providers.vertex.logs import entries, of_job, text
from mlinfra_providers.vertex.machines import machine_spec
from mlinfra_providers.vertex.naming import location, name
from mlinfra_providers.vertex.storage import bucket_name, job_record

_PHASES = {
    **dict.fromkeys(("QUEUED", "PENDING"), Phase.WAITING),
    "SUCCEEDED": Phase.SUCCEEDED,
    "PARTIALLY_SUCCEEDED": Phase.SUCCEEDED,
    "FAILED": Phase.FAILED,
    "CANCELLED": Phase.STOPPED,
    "EXPIRED": Phase.TIMED_OUT,
}
"""Every other state is of a job that has not ended."""


class CustomJobs:
    """The jobs of one environment. Implements `mlinfra_providers.remote.jobs.Jobs`."""

    def __init__(self, environment: Environment, clients: Clients) -> None:
        self._environment = environment
        self._clients = clients
        self._parent = location(environment)

    def submit(self, job: Job) -> None:
        """Create the job, and leave it to the older one where somebody else has created it at the same time.

        Raises:
            MlinfraError: there is no definition yet, or Google refuses it.
        """
        if self._all(job):
            return
        wanted = self._wanted(job)
        with explained(f"starting {job.name}"):
            made = self._clients.jobs.create_custom_job(parent=self._parent, custom_job=wanted)
        oldest = self._all(job)[0]
        if oldest.name != made.name:
            with explained(f"ending a second {job.name}"):
                self._clients.jobs.cancel_custom_job(name=made.name)

    def state(self, job: Job) -> State | None:
        """Return where a job is."""
        there = self._all(job)
        if not there:
            return None
        phase = _PHASES.get(there[0].state.name.removeprefix("JOB_STATE_"), Phase.RUNNING)
        return State(phase, there[0].error.message, there[0].start_time or None)

    def lines(self, job: Job, skip: int) -> Sequence[str]:
        """Return what it printed, as Cloud Logging has it (seconds later).

        Raises:
            MlinfraError: Cloud Logging refused.
        """
        there = self._all(job)
        if not there:
            return ()
        wanted = of_job(there[0].name.rpartition("/")[2])
        return [text(entry) for entry in entries(self._environment.account or "", wanted)][skip:]

    def stop(self, job: Job) -> None:
        """Cancel it; one that has ended stays as it is."""
        for there in self._all(job)[:1]:
            with explained(f"ending {job.name}"):
                self._clients.jobs.cancel_custom_job(name=there.name)

    def fetch(self, job: Job, to: Path) -> None:
        """Bring what it left."""
        fetch_folder(job.output, to)

    def _called(self, job: Job) -> str:
        return f"{self._environment.name}-{job.name}"

    def _all(self, job: Job) -> list[Any]:
        """Return the custom jobs of a run, the oldest first: all but that one were given up."""
        wanted = {"parent": self._parent, "filter": f'display_name="{self._called(job)}"'}
        with explained(f"looking for {job.name}"):
            listed = list(self._clients.jobs.list_custom_jobs(request=wanted))
        return sorted(listed, key=lambda item: (item.create_time, item.name))

    def _wanted(self, job: Job) -> Any:
        """Return the job as the API takes it: the definition, with what this run is of."""
        from google.cloud.aiplatform_v1 import CustomJob
        from google.protobuf import json_format

        definition = self._definition(job)
        spec = definition["jobSpec"]
        pool = spec["workerPoolSpecs"][0]
        if job.part.instance is not None:
            pool["machineSpec"] = machine_spec(job.part.instance)
        pool["containerSpec"]["args"] = [job.script]
        pool["containerSpec"]["env"] = [{"name": key, "value": value} for key, value in job.variables.items()]
        spec["scheduling"] |= {
            "timeout": f"{job.max_runtime_seconds:g}s", "strategy": "SPOT" if job.spot else "STANDARD",
        }  # fmt: skip
        spec["baseOutputDirectory"] = {"outputUriPrefix": job.output}
        made = CustomJob()
        json_format.ParseDict({**definition, "displayName": self._called(job)}, CustomJob.pb(made))
        return made

    def _definition(self, job: Job) -> dict[str, Any]:
        """Return the definition that the last `up` kept.

        Raises:
            MlinfraError: there is none.
        """
        environment = self._environment
        record = job_record(environment, name(environment.name, job.part.part))
        with explained(f"reading {record}"):
            kept_text = found(self._clients.bucket(bucket_name(environment)).blob(record).download_as_bytes)
        if kept_text is None:
            raise MlinfraError(
                f"{job.part.key}: there is no definition gs://{bucket_name(environment)}/{record}",
                remedy=f"mlinfra up {environment.name} makes it",
            )
        kept: dict[str, Any] = json.loads(kept_text)
        kept.pop("declared", None)
        return kept

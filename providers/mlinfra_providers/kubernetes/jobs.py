"""Training runs as TrainJobs of Kubeflow Trainer, of the runtime that an `up` registered.

https://www.kubeflow.org/docs/components/trainer: a TrainJob names a runtime, and what `trainer` says takes the place of
what the runtime has. Its Job is `<name>-node-0` (JobSet: `<JobSet>-<replicated job>-<index>`), and that says why it
ended (kubernetes.io/docs/concepts/workloads/controllers/job: DeadlineExceeded). The runtime's init step brings the
code from the artifact store, the launcher fetches the inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlinfra.declarations.training_job import TrainingJob
from mlinfra.training.contract import CODE_VARIABLE
from mlinfra_providers.kubernetes.clients import JOBS, TRAIN_JOBS, Cluster, Conflict
from mlinfra_providers.kubernetes.labelled import OWNER, TRAIN_LIMIT, name
from mlinfra_providers.remote.jobs import Job, Phase, State, fetch_folder
from mlinfra_providers.short_names import short_name

GROUP, VERSION = "trainer.kubeflow.org", "v1alpha1"
NAME_LIMIT = 48
"""A pod's host name is `<name>-node-0-0`, and its own name has six characters more."""
NODE = "node"
"""The replicated job, and its container."""


class TrainJobs:
    """The runs of one namespace; implements `mlinfra_providers.remote.jobs.Jobs`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def submit(self, job: Job) -> None:
        """Create the TrainJob, or find it created."""
        declared = job.part.part
        assert isinstance(declared, TrainingJob)
        # the runtime's init step has brought the code
        variables = {key: value for key, value in job.variables.items() if not key.endswith(CODE_VARIABLE)}
        called = _called(job)
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "TrainJob",
            "metadata": {"name": called, "annotations": {OWNER: job.part.owner}},
            "spec": {
                "runtimeRef": {"apiGroup": GROUP, "kind": "TrainingRuntime", "name": name(declared, limit=TRAIN_LIMIT)},
                "trainer": {"env": [{"name": key, "value": value} for key, value in sorted(variables.items())]},
            },
        }
        try:
            self._cluster.create(TRAIN_JOBS, body)
        except Conflict:
            return

    def state(self, job: Job) -> State | None:
        """Return where a run is: what its TrainJob says, and while that says nothing, what its pod does."""
        train = self._cluster.get(TRAIN_JOBS, _called(job))
        if train is None:
            return None
        if condition(train, "Complete"):
            return State(Phase.SUCCEEDED, started=_started(self._pod(job)))
        if failed := condition(train, "Failed"):
            ended = condition(self._cluster.get(JOBS, _job_of(job)) or {}, "Failed") or failed
            phase = Phase.TIMED_OUT if ended.get("reason") == "DeadlineExceeded" else Phase.FAILED
            return State(phase, ended.get("message") or ended.get("reason") or "", _started(self._pod(job)))
        pod = self._pod(job)
        if _started(pod) is not None:
            return State(Phase.RUNNING, started=_started(pod))
        return State(Phase.WAITING, _waits(pod))

    def lines(self, job: Job, skip: int) -> Sequence[str]:
        """Return what the run's container printed."""
        pod = self._pod(job)
        if pod is None:
            return ()
        return self._cluster.log(pod["metadata"]["name"], NODE).splitlines()[skip:]

    def stop(self, job: Job) -> None:
        """Delete the TrainJob: what it has delivered stays in the artifact store."""
        self._cluster.delete(TRAIN_JOBS, _called(job))

    def fetch(self, job: Job, to: Path) -> None:
        """Bring what the launcher delivered."""
        fetch_folder(job.output, to)

    def _pod(self, job: Job) -> dict[str, Any] | None:
        """Return the newest pod of a run."""
        pods = self._cluster.pods(f"batch.kubernetes.io/job-name={_job_of(job)}")
        return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def _called(job: Job) -> str:
    return short_name(job.name, limit=NAME_LIMIT)


def _job_of(job: Job) -> str:
    return f"{_called(job)}-{NODE}-0"


def condition(found: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return a condition of an object where it is true."""
    listed: Sequence[Mapping[str, Any]] = (found.get("status") or {}).get("conditions") or ()
    return next((item for item in listed if item["type"] == kind and item["status"] == "True"), None)


def _started(pod: Mapping[str, Any] | None) -> datetime | None:
    """Return since when the run's own container runs, or when it began; None before."""
    for item in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        state = item.get("state") or {}
        begun = (state.get("running") or state.get("terminated") or {}).get("startedAt")
        if item["name"] == NODE and begun:
            return datetime.fromisoformat(begun)
    return None


def _waits(pod: Mapping[str, Any] | None) -> str:
    """Return why a pod does not run yet."""
    status = (pod or {}).get("status") or {}
    said = [item.get("message") for item in status.get("conditions") or () if item["type"] == "PodScheduled"]
    return next((words for words in said if words), "")

"""Custom jobs that really run: the container's command as a process, with Cloud Storage as folders.

Sources: https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system (`/gcs/<bucket>` is mounted),
CustomJobSpec.base_output_directory in the protobufs (AIP_MODEL_DIR, AIP_CHECKPOINT_DIR), JobState, and
https://cloud.google.com/vertex-ai/docs/training/monitor-debug-interactive-shell: what a container writes is in Cloud
Logging, under resource.type="ml_job" and the job's id.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.cloud import aiplatform_v1 as vertex
from google.rpc import status_pb2

from tests.lab.gcp.server.answers import Failed
from tests.lab.gcp.server.api import shown
from tests.lab.gcp.server.faults import Faults
from tests.lab.gcp.server.logs import Logs
from tests.lab.gcp.server.models import canonical
from tests.lab.gcp.server.operations import Operations
from tests.lab.gcp.server.storage import Storage

MOUNT = "/gcs/"
NO_CAPACITY = "Resources are insufficient in region: please try a different region or machine type."
_STATE = vertex.JobState
_ENDED = frozenset({_STATE.JOB_STATE_SUCCEEDED, _STATE.JOB_STATE_FAILED, _STATE.JOB_STATE_CANCELLED})
_INTERNAL = 13


class Process:
    """The process of one job's container."""

    def __init__(self, job: Any, storage: Storage) -> None:
        self._storage = storage
        self._folder = Path(tempfile.mkdtemp(prefix="mlinfra-lab-job-"))
        container = job.job_spec.worker_pool_specs[0].container_spec
        command = [*container.command, *container.args]
        variables = {entry.name: entry.value for entry in container.env}
        if base := job.job_spec.base_output_directory.output_uri_prefix.rstrip("/"):
            variables |= {"AIP_MODEL_DIR": f"{base}/model/", "AIP_CHECKPOINT_DIR": f"{base}/checkpoints/"}
        variables["CLOUD_ML_JOB_ID"] = job.name.rpartition("/")[2]
        self._had: dict[Path, bytes] = {}
        for bucket in {found for text in (*command, *variables.values()) for found in _mounted(text)}:
            self._mount(bucket)
        command[0] = sys.executable if command[0] == "python" else command[0]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._here(part) for part in command],
                env={**os.environ, **{name: self._here(value) for name, value in variables.items()}},
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    def _mount(self, bucket: str) -> None:
        root = self._folder / "gcs" / bucket
        root.mkdir(parents=True, exist_ok=True)
        for name, content in self._storage.under(f"gs://{bucket}"):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self._had[path] = content

    def _here(self, text: str) -> str:
        return text.replace(MOUNT, f"{self._folder}{MOUNT}")

    def wait(self) -> tuple[int, str]:
        """Wait for its end; return the exit code and what it wrote, when what is in its folders is in the buckets."""
        code = self._process.wait()
        for path in (self._folder / "gcs").rglob("*"):
            if path.is_file() and self._had.get(path) != path.read_bytes():
                self._storage.put(f"gs://{path.relative_to(self._folder / 'gcs').as_posix()}", path.read_bytes())
        written = (self._folder / "log").read_text(errors="replace")
        shutil.rmtree(self._folder, ignore_errors=True)
        return code, written

    def stop(self) -> None:
        self._process.terminate()


def _mounted(text: str) -> list[str]:
    return re.findall(rf"{MOUNT}([^/\"',\s]+)", text)


class Jobs:
    """Custom jobs by name."""

    def __init__(self, operations: Operations, storage: Storage, faults: Faults, logs: Logs) -> None:
        self._operations = operations
        self._storage = storage
        self._faults = faults
        self._logs = logs
        self.kept: dict[str, Any] = {}
        self._running: dict[str, Process] = {}

    def create(self, request: Any) -> dict[str, Any]:
        """CreateCustomJob: pending, running, and then succeeded or failed."""
        if self._faults.take("quota"):
            metric = "aiplatform.googleapis.com/custom_model_training_cpus"
            raise Failed("RESOURCE_EXHAUSTED", f"The following quota metrics exceed quota limits: {metric}")
        job: Any = vertex.CustomJob()
        type(job).pb(job).CopyFrom(type(request.custom_job).pb(request.custom_job))
        job.name = f"{canonical(request.parent)}/customJobs/{next(self._operations.ids)}"
        job.create_time = datetime.now(UTC)
        job.state = _STATE.JOB_STATE_PENDING
        self.kept[job.name] = job
        if self._faults.take("no-capacity"):
            self._end(job, NO_CAPACITY)
        elif job.job_spec.worker_pool_specs[0].container_spec.command:
            self._running[job.name] = Process(job, self._storage)
            job.state, job.start_time = _STATE.JOB_STATE_RUNNING, datetime.now(UTC)
            threading.Thread(target=self._watch, args=(job,), daemon=True).start()
        else:
            self._end(job, "")
        return shown(job)

    def _watch(self, job: Any) -> None:
        code, written = self._running[job.name].wait()
        self._running.pop(job.name, None)
        self._logs.write(job.name.rpartition("/")[2], job.display_name, written)
        if job.state == _STATE.JOB_STATE_CANCELLING:
            job.state, job.end_time = _STATE.JOB_STATE_CANCELLED, datetime.now(UTC)
            return
        why = f"The replica workerpool0-0 exited with a non-zero status of {code}." if code else ""
        self._end(job, why)

    def _end(self, job: Any, why: str) -> None:
        job.end_time = datetime.now(UTC)
        if why:
            job.error = status_pb2.Status(code=_INTERNAL, message=why)
        job.state = _STATE.JOB_STATE_FAILED if why else _STATE.JOB_STATE_SUCCEEDED

    def get(self, request: Any) -> dict[str, Any]:
        return shown(self._find(request.name))

    def list(self, request: Any) -> dict[str, Any]:
        """ListCustomJobs, newest first; of filters `display_name="…"` and labels."""
        wanted = dict(re.findall(r'([\w.-]+)\s*=\s*"([^"]*)"', request.filter))
        name = wanted.pop("display_name", wanted.pop("displayName", None))
        labels = {key.removeprefix("labels."): value for key, value in wanted.items()}
        inside = f"{canonical(request.parent)}/customJobs/"
        found = [
            job
            for job in self.kept.values()
            if job.name.startswith(inside)
            and (name is None or job.display_name == name)
            and all(job.labels.get(key) == value for key, value in labels.items())
        ]
        return {"customJobs": [shown(job) for job in reversed(found)]}

    def cancel(self, request: Any) -> dict[str, Any]:
        """CancelCustomJob: an ended one stays as it is."""
        job = self._find(request.name)
        if job.state not in _ENDED and job.name in self._running:
            job.state = _STATE.JOB_STATE_CANCELLING
            self._running[job.name].stop()
        return {}

    def delete(self, request: Any) -> dict[str, Any]:
        name = self._find(request.name).name

        def finish() -> dict[str, Any]:
            self.kept.pop(name, None)
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}

        return self._operations.begin("Delete", name, finish)

    def close(self) -> None:
        for process in list(self._running.values()):
            process.stop()

    def _find(self, name: str) -> Any:
        job = self.kept.get(canonical(name))
        if job is None:
            raise Failed("NOT_FOUND", f"The CustomJob does not exist: {name}")
        return job

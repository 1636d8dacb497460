"""Command jobs in the lab: they really run, their inputs and outputs are folders that the emulated Blob Storage fills.

https://learn.microsoft.com/azure/machine-learning/how-to-train-model; `${{inputs.x}}` and `${{outputs.x}}` in a
command are paths: https://learn.microsoft.com/azure/machine-learning/reference-yaml-job-command. What a job writes is
`user_logs/std_log.txt` in the workspace's default container, under `ExperimentRun/dcid.<job>`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.lab.aws.server.faults import Faults
from tests.lab.azure.server.blobs import Blobs
from tests.lab.azure.server.online import refuse
from tests.lab.azure.server.resource_manager import ResourceManager, Rules
from tests.lab.azure.server.things import Body, Thing, Wrong

JOBS = "microsoft.machinelearningservices/workspaces/jobs"
_URI = re.compile(r"azureml://datastores/([\w-]+)/paths/(.*)")
Place = tuple[str, str, str]
"""Account, container and path."""
_PART = re.compile(r"\$\{\{(inputs|outputs)\.([\w-]+)\}\}")


class Job:
    """The process of one job, and the folders that it knows as its inputs and outputs."""

    def __init__(self, thing: Thing, places: Mapping[str, Place], blobs: Blobs, outside: Mapping[str, str]) -> None:
        self._blobs = blobs
        self._outputs: dict[str, Place] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="mlinfra-lab-azure-job-"))
        for name, there in places.items():
            kind, _, own = name.partition(".")
            (self._folder / kind / own).mkdir(parents=True)
            if kind == "outputs":
                self._outputs[own] = there
                continue
            for path, content in blobs.below(*there):
                target = self._folder / kind / own / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        command = _PART.sub(lambda part: str(self._folder / part[1] / part[2]), thing.properties["command"])
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLINFRA_")}
        told = thing.properties.get("environmentVariables") or {}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._log = self._folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", command],
                env={**kept, **outside, **told, **self._named(thing), "PATH": path},
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )

    def _named(self, thing: Thing) -> dict[str, str]:
        """Return the variables that name the folders: AZURE_ML_INPUT_x and AZURE_ML_OUTPUT_x."""
        return {
            f"AZURE_ML_{kind[:-1].upper()}_{name}": str(self._folder / kind / name)
            for kind in ("inputs", "outputs")
            for name in thing.properties.get(kind) or {}
        }

    def ended(self) -> int | None:
        """Return the exit code, None as long as it runs."""
        return self._process.poll()

    def said(self) -> bytes:
        """Return what it wrote so far."""
        return self._log.read_bytes()

    def put(self) -> None:
        """Write what is in its outputs to where they are declared."""
        for name, (account, container, path) in self._outputs.items():
            folder = self._folder / "outputs" / name
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    inner = f"{path}/{file.relative_to(folder).as_posix()}"
                    self._blobs.put(account, container, inner, file.read_bytes())

    def stop(self) -> None:
        """End it and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)

    def close(self) -> None:
        """End it at once, and remove its folders."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class Jobs(Rules):
    """Rules of jobs. A job starts when it is created, and never changes; its status is told when it is asked for."""

    def __init__(self, blobs: Blobs, outside: Mapping[str, str], faults: Faults) -> None:
        self._blobs = blobs
        self._outside = outside
        self._faults = faults
        self._running: dict[str, Job] = {}

    def put(self, manager: ResourceManager, id_: str, body: Body, there: Thing | None) -> Thing:
        refuse("JobBase", body)
        properties = body["properties"]
        if there is not None:
            raise Wrong(409, "UserError", f"A job with this name already exists: {there.name}")
        for key in ("environmentId", "computeId"):
            if properties.get(key) and manager.things.find(properties[key]) is None:
                raise Wrong(404, "UserError", f"{key}: {properties[key]} was not found.")
        places = {
            f"{kind}.{name}": _place(manager, id_, item["uri"])
            for kind in ("inputs", "outputs")
            for name, item in (properties.get(kind) or {}).items()
            if "uri" in item
        }
        thing = manager.things.add(Thing(id_, body, told={"status": "Running"}))
        self._running[id_] = Job(thing, places, self._blobs, self._outside)
        return thing

    def tell(self, manager: ResourceManager, thing: Thing) -> None:
        """Let the status of a job, and its log, be what they are now."""
        job = self._running.get(thing.id)
        if job is None:
            return
        account = default_account(manager, thing.id)
        self._blobs.make(account, "azureml")
        self._blobs.put(account, "azureml", f"ExperimentRun/dcid.{thing.name}/user_logs/std_log.txt", job.said())
        code = job.ended()
        if code is None:
            return
        if thing.told["status"] != "Canceled":
            thing.told["status"] = "Completed" if code == 0 else "Failed"
        job.put()
        self._running.pop(thing.id).close()

    def cancel(self, thing: Thing) -> None:
        """End a job: https://learn.microsoft.com/rest/api/azureml/jobs/cancel."""
        if thing.id in self._running:
            thing.told["status"] = "Canceled"
            self._running[thing.id].stop()
        elif thing.work is not None:  # one of Spark, which is no process
            thing.told["status"], thing.work = "Canceled", None

    def close(self) -> None:
        """End what runs."""
        for job in self._running.values():
            job.close()
        self._running.clear()


def default_account(manager: ResourceManager, id_: str) -> str:
    """Return the name of the storage account of the workspace that something is in."""
    workspace = manager.things.find("/".join(id_.split("/")[:9]))
    storage: str = (workspace.properties.get("storageAccount") or "") if workspace else ""
    return storage.rpartition("/")[2]


def _place(manager: ResourceManager, id_: str, uri: str) -> Place:
    """Return account, container and path of a URI of a datastore."""
    found = _URI.fullmatch(uri)
    store = manager.things.find(f"{'/'.join(id_.split('/')[:9])}/datastores/{found[1]}") if found else None
    if found is None or store is None:
        raise Wrong(404, "UserError", f"{uri} names no datastore of the workspace.")
    return store.properties["accountName"], store.properties["containerName"], found[2].strip("/")

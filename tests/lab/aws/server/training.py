"""Training jobs that really run: a job's command as a process, its channels and results in the emulated S3.

Sources: docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html (`/opt/ml/input/
data/<channel>`, `/opt/ml/model`, `/opt/ml/output`), and CreateTrainingJob in the API reference (ContainerEntrypoint,
OutputDataConfig: the model is `<S3OutputPath>/<job>/output/model.tar.gz`). A job without a command of its own is done
when its time has come.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.aws.server.fleet import Objects
from tests.lab.aws.server.store import Parameters, Thing

MOUNT = "/opt/ml"
Put = Callable[[str, bytes], None]
"""Puts bytes at an S3 URI."""
Tell = Callable[[str, list[str]], None]
"""Writes lines to a stream of the training jobs' log group."""
STREAM = "{}/algo-1-1700000000"
"""docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html: `[training-job-name]/algo-[number]-[epoch]`."""


class Job:
    """The process of one training job."""

    def __init__(self, parameters: Parameters, objects: Objects, put: Put, tell: Tell) -> None:
        self._parameters = parameters
        self._put = put
        self._tell = tell
        self._told = 0
        self._folder = Path(tempfile.mkdtemp(prefix="mlinfra-lab-training-"))
        for name in ("model", "output/data", "input/data"):
            (self._folder / name).mkdir(parents=True)
        variables = {"SM_MODEL_DIR": f"{MOUNT}/model", "SM_OUTPUT_DATA_DIR": f"{MOUNT}/output/data"}
        variables["SM_HPS"] = json.dumps(parameters.get("HyperParameters", {}))
        for channel in parameters.get("InputDataConfig", []):
            name = channel["ChannelName"]
            for path, content in objects(channel["DataSource"]["S3DataSource"]["S3Uri"]):
                target = self._folder / "input" / "data" / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            variables[f"SM_CHANNEL_{name.upper()}"] = f"{MOUNT}/input/data/{name}"
        variables |= parameters.get("Environment", {})
        algorithm = parameters["AlgorithmSpecification"]
        command = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
        command[0] = sys.executable if command[0] == "python" else command[0]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._here(part) for part in command],
                env={**os.environ, **{name: self._here(value) for name, value in variables.items()}},
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    def _here(self, text: str) -> str:
        return text.replace(MOUNT, str(self._folder))

    @property
    def running(self) -> bool:
        running = self._process.poll() is None
        self._tell_lines()
        return running

    def _tell_lines(self) -> None:
        if not self._folder.exists():
            return
        whole = (self._folder / "log").read_bytes()
        new = whole[self._told : whole.rfind(b"\n") + 1]
        self._told += len(new)
        if new:
            self._tell(STREAM.format(self._parameters["TrainingJobName"]), new.decode(errors="replace").splitlines())

    def ended(self, thing: Thing) -> None:
        """Put the results where they belong, and say how it ended."""
        target = f"{self._parameters['OutputDataConfig']['S3OutputPath']}/{self._parameters['TrainingJobName']}/output"
        self._put(f"{target}/output.tar.gz", _packed(self._folder / "output" / "data"))
        if self._process.returncode == 0:
            self._put(f"{target}/model.tar.gz", _packed(self._folder / "model"))
            thing.more["ModelArtifacts"] = {"S3ModelArtifacts": f"{target}/model.tar.gz"}
        elif thing.status != "Stopping":
            last = (self._folder / "log").read_text(errors="replace")[-700:]
            thing.then = "Failed"
            thing.more["FailureReason"] = f"AlgorithmError: {last}, exit code: {self._process.returncode}"
        thing.more["SecondaryStatus"] = thing.then
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End it as SageMaker does, by SIGTERM."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _packed(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return packed.getvalue()


class Jobs:
    """The training jobs of a region that run as processes."""

    def __init__(self, objects: Objects, put: Put, tell: Tell) -> None:
        self._objects = objects
        self._put = put
        self._tell = tell
        self._running: dict[str, Job] = {}

    def start(self, thing: Thing) -> None:
        """Run a job's command, if it has one; it is done when the process is."""
        thing.more["SecondaryStatus"] = "Training"
        if "ContainerEntrypoint" not in thing.parameters.get("AlgorithmSpecification", {}):
            return
        job = self._running[thing.arn] = Job(thing.parameters, self._objects, self._put, self._tell)

        def ready() -> bool:
            if job.running:
                return False
            if self._running.pop(thing.arn, None):
                job.ended(thing)
            return True

        thing.ready = ready

    def stop(self, thing: Thing) -> None:
        if thing.arn in self._running:
            self._running[thing.arn].stop()

    def close(self) -> None:
        for job in self._running.values():
            job.stop()


def resolved(value: Any, parameters: dict[str, str]) -> Any:
    """Return a pipeline's value with what stands for parameters replaced.

    `{"Get": "Parameters.Run"}` and `{"Std:Join": {"On": "/", "Values": […]}}` of
    https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema.
    """
    if isinstance(value, list):
        return [resolved(item, parameters) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Get"} and value["Get"].startswith("Parameters."):
        return parameters[value["Get"].removeprefix("Parameters.")]
    if set(value) == {"Std:Join"}:
        return value["Std:Join"]["On"].join(map(str, resolved(value["Std:Join"]["Values"], parameters)))
    return {key: resolved(item, parameters) for key, item in value.items()}

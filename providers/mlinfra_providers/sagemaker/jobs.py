"""Training runs on SageMaker: executions of the job's pipeline, each of one training job, found by their name.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StartPipelineExecution.html: of two requests with the same
token one execution is made. Statuses: API_DescribeTrainingJob.html. Lines: the streams of a training job in
`/aws/sagemaker/TrainingJobs` begin with its name (https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html).
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.remote.jobs import Job, Phase, State
from mlinfra_providers.sagemaker.clients import Clients, explained, is_gone
from mlinfra_providers.sagemaker.logs import TRAINING, Streams
from mlinfra_providers.sagemaker.training_job import BROUGHT, definition, pipeline_name, values

_PHASES = {"Completed": Phase.SUCCEEDED, "Failed": Phase.FAILED, "Stopped": Phase.STOPPED}
_TIMED_OUT = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")
_AT_WORK = ("Training", "Uploading", "Stopping")


class Pipelines:
    """Implements `mlinfra_providers.remote.jobs.Jobs`."""

    def __init__(self, environment: Environment, clients: Clients) -> None:
        self._environment = environment
        self._clients = clients
        self._executions: dict[str, str] = {}
        self._streams: dict[str, Streams] = {}

    def submit(self, job: Job) -> None:
        """Start the pipeline, if it is the one that is declared today.

        Raises:
            MlinfraError: it is not there, or of another declaration.
        """
        called, api = self._pipeline(job), self._clients("sagemaker")
        self._check(job, called)
        with explained(f"starting {called}"):
            made = api.start_pipeline_execution(
                PipelineName=called,
                PipelineExecutionDisplayName=job.name,
                PipelineParameters=[{"Name": key, "Value": value} for key, value in values(job).items()],
                ClientRequestToken=hashlib.sha256(f"{called}/{job.name}".encode()).hexdigest(),
            )
        self._executions[job.name] = made["PipelineExecutionArn"]

    def state(self, job: Job) -> State | None:
        """Return where the execution's training job is; before there is one, where the execution is."""
        execution = self._execution(job)
        if execution is None:
            return None
        with explained(f"asking for {job.name}"):
            told = self._clients("sagemaker").describe_pipeline_execution(PipelineExecutionArn=execution)
        trained = self._training_job(execution)
        if trained is None:
            return _without_job(told)
        status, second = trained["TrainingJobStatus"], trained.get("SecondaryStatus", "")
        started = trained.get("TrainingStartTime")
        if status not in _PHASES:
            return State(Phase.RUNNING if second in _AT_WORK else Phase.WAITING, second, started)
        phase = Phase.TIMED_OUT if second in _TIMED_OUT else _PHASES[status]
        return State(phase, trained.get("FailureReason", "" if phase is Phase.SUCCEEDED else second), started)

    def lines(self, job: Job, skip: int) -> Sequence[str]:
        """Return what the training job wrote to CloudWatch."""
        if job.name not in self._streams:
            execution = self._execution(job)
            trained = self._training_job(execution) if execution else None
            if trained is None:
                return ()
            self._streams[job.name] = Streams(self._clients("logs"), TRAINING, trained["TrainingJobName"])
        return self._streams[job.name].lines()[skip:]

    def stop(self, job: Job) -> None:
        """Stop the execution, and its training job with it."""
        if execution := self._execution(job):
            token = hashlib.sha256(f"stop/{job.name}".encode()).hexdigest()
            with explained(f"stopping {job.name}"):
                self._clients("sagemaker").stop_pipeline_execution(
                    PipelineExecutionArn=execution, ClientRequestToken=token
                )

    def fetch(self, job: Job, to: Path) -> None:
        """Unpack the two archives that SageMaker keeps of a training job: the model, and all else."""
        execution = self._execution(job)
        trained = self._training_job(execution) if execution else None
        if trained is None:
            return
        place = f"{trained['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{trained['TrainingJobName']}/output"
        for archive, folder in (("output.tar.gz", to), ("model.tar.gz", to / "model")):
            self._unpack(f"{place}/{archive}", folder)

    def _unpack(self, uri: str, folder: Path) -> None:
        from botocore.exceptions import ClientError

        bucket, _, key = uri.removeprefix("s3://").partition("/")
        with tempfile.NamedTemporaryFile(prefix="mlinfra-", suffix=".tar.gz") as packed:
            with explained(f"reading {uri}"):
                try:
                    self._clients("s3").download_fileobj(bucket, key, packed)
                except ClientError as error:
                    if is_gone(error):
                        return
                    raise
            packed.seek(0)
            try:
                with tarfile.open(fileobj=packed) as archive:
                    archive.extractall(folder, filter="data")
            except tarfile.TarError as error:
                raise MlinfraError(f"{uri} is no archive: {error}") from error

    def _execution(self, job: Job) -> str | None:
        if job.name in self._executions:
            return self._executions[job.name]
        from botocore.exceptions import ClientError

        called = self._pipeline(job)
        with explained(f"looking for {job.name}"):
            try:
                for page in self._clients("sagemaker").get_paginator("list_pipeline_executions").paginate(
                    PipelineName=called, SortBy="CreationTime", SortOrder="Descending"
                ):  # fmt: skip
                    for item in page["PipelineExecutionSummaries"]:
                        if item.get("PipelineExecutionDisplayName") == job.name:
                            arn: str = item["PipelineExecutionArn"]
                            return self._executions.setdefault(job.name, arn)
            except ClientError as error:
                if not is_gone(error):
                    raise
                raise MlinfraError(
                    f"the pipeline {called} is not there", remedy=f"mlinfra up {self._environment.name}"
                ) from None
        return None

    def _training_job(self, execution: str) -> Mapping[str, Any] | None:
        from botocore.exceptions import ClientError

        api = self._clients("sagemaker")
        with explained(f"asking for the steps of {execution}"):
            steps = api.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
            arns = [step.get("Metadata", {}).get("TrainingJob", {}).get("Arn") for step in steps]
            found = next((arn for arn in arns if arn), None)
            if found is None:
                return None
            try:
                told: Mapping[str, Any] = api.describe_training_job(TrainingJobName=found.rpartition("/")[2])
            except ClientError as error:
                if is_gone(error):
                    return None
                raise
        return told

    def _check(self, job: Job, called: str) -> None:
        """Refuse to run a pipeline that would do something else than what is declared: on another machine, say.

        Code, data and parameters come with the run, so nothing needs an `up` for those.
        """
        with explained(f"reading the pipeline {called}"):
            kept = self._clients("sagemaker").describe_pipeline(PipelineName=called)["PipelineDefinition"]
        there = json.loads(kept).get("Metadata", {}).get("mlinfra") or {}
        wanted = json.loads(json.dumps(definition(job.part, self._environment)))
        names = sorted(name for name in {*there, *wanted} - BROUGHT if there.get(name) != wanted.get(name))
        if names:
            raise MlinfraError(
                f"the pipeline {called} is not what is declared now: {', '.join(names)}",
                remedy=f"mlinfra up {self._environment.name}",
            )

    def _pipeline(self, job: Job) -> str:
        declared = job.part.part
        assert isinstance(declared, TrainingJob)
        return pipeline_name(self._environment, declared)


def _without_job(execution: Mapping[str, Any]) -> State:
    """Return where an execution is that has no training job yet, or none any more."""
    status = execution["PipelineExecutionStatus"]
    if status == "Executing":
        return State(Phase.WAITING)
    reason = execution.get("FailureReason") or "its training job is not there"
    return State(Phase.FAILED if status == "Failed" else Phase.STOPPED, reason)

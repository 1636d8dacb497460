"""Lines in CloudWatch: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra_providers.remote.logs import write
from mlinfra_providers.sagemaker.clients import Clients, explained, is_gone
from mlinfra_providers.sagemaker.naming import PIPELINE_LIMIT, name, physical_name

TRAINING = "/aws/sagemaker/TrainingJobs"
PROCESSING = "/aws/sagemaker/ProcessingJobs"
MOST_RUNS = 5
MOST_STREAMS = 20
"""Streams of a part that are fetched, the newest ones."""


class Streams:
    """What the streams of a group whose names begin alike hold so far; asked again, only what is new is sent."""

    def __init__(self, api: Any, group: str, prefix: str) -> None:
        self._api = api
        self._group = group
        self._prefix = prefix
        self._tokens: dict[str, str] = {}
        self._lines: list[str] = []

    def lines(self) -> Sequence[str]:
        """Return every line so far."""
        for stream in sorted(streams(self._api, self._group, self._prefix)):
            self._read(stream)
        return self._lines

    def _read(self, stream: str) -> None:
        while True:
            more = {"nextToken": self._tokens[stream]} if stream in self._tokens else {}
            with explained(f"reading {self._group}/{stream}"):
                found = self._api.get_log_events(
                    logGroupName=self._group, logStreamName=stream, startFromHead=True, **more
                )
            self._lines += [event["message"].rstrip("\n") for event in found["events"]]
            # the end is where the same token comes back
            if found["nextForwardToken"] == self._tokens.get(stream):
                return
            self._tokens[stream] = found["nextForwardToken"]
            if not found["events"]:
                return


def streams(api: Any, group: str, prefix: str = "") -> list[str]:
    """Return the newest streams of a group, oldest first; none where there is no such group."""
    from botocore.exceptions import ClientError

    found: list[dict[str, Any]] = []
    with explained(f"looking for lines in {group}"):
        try:
            asked = {"logStreamNamePrefix": prefix} if prefix else {}
            for page in api.get_paginator("describe_log_streams").paginate(logGroupName=group, **asked):
                found += page["logStreams"]
        except ClientError as error:
            if is_gone(error):
                return []
            raise
    newest = sorted(found, key=lambda item: item.get("lastEventTimestamp", item.get("creationTime", 0)))
    return [item["logStreamName"] for item in newest[-MOST_STREAMS:]]


def logs(clients: Clients, environment: Environment, repository: Path, part: ResolvedPart) -> Sequence[Path]:
    """Bring the newest lines of a part's streams into files; return them, oldest first."""
    api = clients("logs")
    found = []
    for group, prefix in _places(clients, environment, part):
        found += [(group, stream) for stream in streams(api, group, prefix)]
    called = physical_name(part.part)
    return [
        write(repository, environment.name, f"{called}/{stream}", newest(api, group, stream)) for group, stream in found
    ]


def newest(api: Any, group: str, stream: str) -> list[str]:
    """Return the newest page of a stream: at most 10,000 lines."""
    with explained(f"reading {group}/{stream}"):
        found = api.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=False)
    return [event["message"].rstrip("\n") for event in found["events"]]


def _places(clients: Clients, environment: Environment, part: ResolvedPart) -> list[tuple[str, str]]:
    """Return the log groups of a part, each with what its streams' names begin with."""
    if isinstance(part.part, Endpoint):
        return [(f"/aws/sagemaker/Endpoints/{name(environment.name, part.part)}", "")]
    if isinstance(part.part, TrainingJob):
        return [(TRAINING, job) for job in _jobs(clients, name(environment.name, part.part, limit=PIPELINE_LIMIT))]
    if isinstance(part.part, DriftMonitor):
        called = name(environment.name, part.part, "drift", limit=PIPELINE_LIMIT)
        return [(PROCESSING, job) for job in _jobs(clients, called)]
    return []


def _jobs(clients: Clients, pipeline: str) -> list[str]:
    """Return the names of the jobs that the newest executions of a pipeline made, oldest first."""
    from botocore.exceptions import ClientError

    api, found = clients("sagemaker"), []
    with explained(f"looking for runs of {pipeline}"):
        try:
            summaries = api.list_pipeline_executions(
                PipelineName=pipeline, SortBy="CreationTime", SortOrder="Descending", MaxResults=MOST_RUNS
            )["PipelineExecutionSummaries"]
        except ClientError as error:
            if is_gone(error):
                return []
            raise
        for summary in reversed(summaries):
            execution = summary["PipelineExecutionArn"]
            for step in api.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]:
                about = step.get("Metadata", {})
                arn = (about.get("TrainingJob") or about.get("ProcessingJob") or {}).get("Arn")
                if arn:
                    found.append(arn.rpartition("/")[2])
    return found

"""Executions of pipelines: each training step is a training job (StartPipelineExecution and its sisters)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from tests.lab.aws.server.store import Entity, Invalid, NotFound, Parameters, Store, Thing
from tests.lab.aws.server.training import resolved

PIPELINE = Entity("Pipeline", "PipelineName", "pipeline", modern=True, listed="PipelineSummaries")
TRAINING = Entity(
    "TrainingJob", "TrainingJobName", "training-job", called="training job", status=("InProgress", "Completed"),
    modern=True, listed="TrainingJobSummaries",
)  # fmt: skip
OUTCOMES = {"InProgress": "Executing", "Stopping": "Stopping", "Stopped": "Stopped", "Failed": "Failed"}


class Executions:
    """The executions of a region's pipelines."""

    def __init__(self, store: Store, train: Callable[[Parameters], Thing], stop: Callable[[Thing], None]) -> None:
        self._store = store
        self._train = train
        self._stop = stop
        self._made: dict[str, tuple[Thing, dict[str, Thing]]] = {}
        self._owners: dict[str, Thing] = {}
        self._tokens: dict[tuple[int, str], str] = {}

    def operations(self) -> dict[str, Callable[[Parameters], Parameters]]:
        return {
            "StartPipelineExecution": self._start,
            "DescribePipelineExecution": lambda asked: self._told(asked["PipelineExecutionArn"]),
            "ListPipelineExecutions": self._list,
            "ListPipelineExecutionSteps": self._steps,
            "StopPipelineExecution": self._end,
        }

    def _start(self, asked: Parameters) -> Parameters:
        pipeline = self._store.get(PIPELINE, asked["PipelineName"])
        known = self._tokens.get((id(pipeline), asked.get("ClientRequestToken", "")))
        if known in self._made:  # ClientRequestToken: an idempotent operation completes no more than once
            return {"PipelineExecutionArn": known}
        definition = json.loads(pipeline.parameters["PipelineDefinition"])
        values = {item["Name"]: item.get("DefaultValue") for item in definition.get("Parameters", [])}
        values |= {item["Name"]: item["Value"] for item in asked.get("PipelineParameters", [])}
        missing = [name for name, value in values.items() if value is None]
        if missing:
            raise Invalid(f"Unable to start pipeline execution. Missing values for parameters: {missing}")
        arn = f"{pipeline.arn}/execution/{uuid.uuid4().hex[:12]}"
        steps = {}
        for step in definition["Steps"]:
            if step["Type"] != "Training":
                raise Invalid(f"the lab runs no step of type {step['Type']}")
            name = f"pipelines-{arn.rpartition('/')[2]}-{step['Name']}-{uuid.uuid4().hex[:10]}"
            steps[step["Name"]] = self._train({**resolved(step["Arguments"], values), "TrainingJobName": name})
        kept = {"PipelineExecutionDisplayName": asked.get("PipelineExecutionDisplayName"), "PipelineArn": pipeline.arn}
        self._made[arn], self._owners[arn] = (Thing(kept, arn), steps), pipeline
        if token := asked.get("ClientRequestToken"):
            self._tokens[id(pipeline), token] = arn
        return {"PipelineExecutionArn": arn}

    def _find(self, arn: str) -> tuple[Thing, dict[str, Thing]]:
        if arn not in self._made:
            raise NotFound(f"Pipeline execution with ARN '{arn}' does not exist.")
        for step in self._made[arn][1].values():
            step.settle()
        return self._made[arn]

    def _told(self, arn: str) -> Parameters:
        thing, steps = self._find(arn)
        found = [OUTCOMES[step.status] for step in steps.values() if step.status in OUTCOMES]
        reasons = [step.more["FailureReason"] for step in steps.values() if "FailureReason" in step.more]
        return {
            **thing.parameters,
            "PipelineExecutionArn": arn,
            "PipelineExecutionStatus": found[0] if found else "Succeeded",
            "CreationTime": thing.made,
            "LastModifiedTime": thing.made,
            "StartTime": thing.made,
            **({"FailureReason": f"Step failure: {reasons[0]}"} if reasons else {}),
        }

    def _list(self, asked: Parameters) -> Parameters:
        pipeline = self._store.get(PIPELINE, asked["PipelineName"])
        # DeletePipeline: all instances of the pipeline are deleted with it
        mine = [arn for arn, owner in self._owners.items() if owner is pipeline]
        return {"PipelineExecutionSummaries": [self._told(arn) for arn in reversed(mine)]}

    def _steps(self, asked: Parameters) -> Parameters:
        _, steps = self._find(asked["PipelineExecutionArn"])
        listed: list[dict[str, Any]] = []
        for name, step in steps.items():
            outcome = OUTCOMES.get(step.status, "Succeeded")
            told = {"StepName": name, "StepStatus": outcome, "Metadata": {"TrainingJob": {"Arn": step.arn}}}
            reason = step.more.get("FailureReason")
            listed.append(told | ({"FailureReason": reason} if reason else {}))
        return {"PipelineExecutionSteps": listed}

    def _end(self, asked: Parameters) -> Parameters:
        for step in self._find(asked["PipelineExecutionArn"])[1].values():
            self._stop(step)
        return {"PipelineExecutionArn": asked["PipelineExecutionArn"]}

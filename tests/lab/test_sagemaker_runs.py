"""mlinfra's training on the emulated SageMaker: the declared pipeline runs the launcher, and its model comes back."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlinfra import Check, Dataset, TrainingJob
from mlinfra.adapters import Instance, Links, ResolvedPart
from mlinfra.artifacts import ArtifactStore
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.training.code import code_digest
from mlinfra_providers.sagemaker import clients, training_job
from mlinfra_providers.sagemaker.jobs import Pipelines
from mlinfra_providers.sagemaker.service import SageMakerService
from tests.lab.aws.emulator import REGION, Emulator
from tests.remote.conftest import GOOD, SOURCES

pytestmark = pytest.mark.local

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-1111-1111-1111-111111111111"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/mlinfra@sha256:{'1' * 64}"
BUCKETS = ("lab-runs-data", "lab-runs-artifacts")
AROUND = SimpleNamespace(key=KEY, subnets=["subnet-0a1b2c3d4e5f60001"], security_groups=["sg-0a1b2c3d4e5f60001"])


class Platform:
    """An environment whose buckets are there, and one job in it."""

    def __init__(self, aws: Emulator, repository: Path) -> None:
        self.environment = Environment.model_validate(
            {
                "name": "prod",
                "target": "sagemaker",
                "stacks": ["crowds"],
                "account": ACCOUNT,
                "region": REGION,
                "bucket": "lab-runs-data",
                "artifacts": "s3://lab-runs-artifacts/models",
                "images": {"serving": IMAGE, "training": IMAGE},
            }
        )
        self.aws = aws
        self.lines: list[str] = []
        self.service = SageMakerService(self.environment, repository)
        self.store = ArtifactStore(self.environment.artifacts or "")
        self.folder = repository / "stacks" / "crowds"
        self.folder.mkdir(parents=True)
        (self.folder / "sources.py").write_text(textwrap.dedent(SOURCES))
        for bucket in BUCKETS:
            where = {"LocationConstraint": REGION}
            aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)

    def declared(self, script: str, **more: Any) -> ResolvedPart:
        """Return the job, after its pipeline was made or changed as an `up` does."""
        (self.folder / "train.py").write_text(textwrap.dedent(script))
        job = TrainingJob(
            "train",
            code="train.py",
            inputs={"rows": Dataset("sources.py:rows")},
            params={"score": 0.75},
            accept=[Check("score", ">=", 0.5)],
            spot=True,
            **more,
        )
        code, machine = code_digest(self.folder), Instance("ml.m5.large", 2, 8)
        part = ResolvedPart("crowds", "a@example.com", "crowds", code, job, machine)
        links, where = Links(self.environment, around=AROUND), training_job.place(self.environment, job)
        definition = json.dumps(training_job._pipeline(part, links, where))
        called = training_job.pipeline_name(self.environment, job)
        role = f"arn:aws:iam::{ACCOUNT}:role/training"
        there = [item["PipelineName"] for item in self.aws.sagemaker.list_pipelines()["PipelineSummaries"]]
        write = self.aws.sagemaker.update_pipeline if called in there else self.aws.sagemaker.create_pipeline
        write(PipelineName=called, PipelineDefinition=definition, RoleArn=role)
        return part

    def remove(self) -> None:
        """Leave the account as it was."""
        api, s3 = self.aws.sagemaker, self.aws.client("s3")
        api.delete_pipeline(PipelineName="prod-train")
        for job in api.list_training_jobs()["TrainingJobSummaries"]:
            api.delete_training_job(TrainingJobName=job["TrainingJobName"])
        for bucket in BUCKETS:
            for item in s3.list_objects_v2(Bucket=bucket).get("Contents", ()):
                s3.delete_object(Bucket=bucket, Key=item["Key"])
            s3.delete_bucket(Bucket=bucket)

    def executions(self) -> int:
        return len(self.aws.sagemaker.list_pipeline_executions(PipelineName="prod-train")["PipelineExecutionSummaries"])


@pytest.fixture
def platform(empty_aws: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    for name, value in empty_aws.environment.items():
        monkeypatch.setenv(name, value)
    clients._client.cache_clear()
    clients._check_account.cache_clear()
    made = Platform(empty_aws, tmp_path)
    yield made
    clients._client.cache_clear()
    clients._check_account.cache_clear()
    made.remove()


def test_a_run_goes_through_the_declared_pipeline_and_is_adopted_then(platform: Platform) -> None:
    part = platform.declared(GOOD)
    run = platform.service.train(part, again=False, say=platform.lines.append)
    assert (run.outcome, run.metrics, run.adopted) == ("accepted", {"score": 0.75}, False), run.log
    assert platform.store.has(run.result["artifact"])
    assert platform.store.has(run.result["baseline"])
    assert "training on 3 rows" in platform.lines
    again = platform.service.train(part, again=False, say=platform.lines.append)
    assert (again.id, again.adopted, platform.executions()) == (run.id, True, 1)
    (log,) = platform.service.logs(part)
    assert "training on 3 rows" in log.read_text()


def test_a_script_that_fails_says_where(platform: Platform) -> None:
    part = platform.declared("raise ValueError('no such column')\n")
    run = platform.service.train(part, again=False, say=platform.lines.append)
    assert run.outcome == "failed"
    assert "ValueError: no such column" in run.log
    assert platform.service.train(part, again=False, say=platform.lines.append).adopted


def test_a_pipeline_of_another_declaration_is_not_run(platform: Platform) -> None:
    platform.declared(GOOD)
    changed = ResolvedPart(
        "crowds", "b@example.com", "crowds", code_digest(platform.folder), platform.declared(GOOD).part
    )
    with pytest.raises(MlinfraError, match="is not what is declared now"):
        platform.service.train(changed, again=False, say=platform.lines.append)
    assert platform.executions() == 0


def test_starting_twice_at_once_makes_one_execution(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    part = platform.declared(GOOD)
    submit = Pipelines.submit

    def twice(self: Pipelines, job: Any) -> None:
        submit(Pipelines(platform.environment, self._clients), job)
        submit(self, job)

    monkeypatch.setattr(Pipelines, "submit", twice)
    run = platform.service.train(part, again=False, say=platform.lines.append)
    assert (run.outcome, platform.executions()) == ("accepted", 1)


def test_other_parameters_need_no_up(platform: Platform) -> None:
    """A run brings what the script reads: code, data and parameters. Machine and image are the pipeline's."""
    part = platform.declared(GOOD)
    assert isinstance(part.part, TrainingJob)
    other = replace(part, part=replace(part.part, params={"score": 0.875}))
    run = platform.service.train(other, again=False, say=platform.lines.append)
    assert (run.outcome, run.metrics) == ("accepted", {"score": 0.875}), run.log
    longer = replace(part, part=replace(part.part, max_runtime="2h"))
    with pytest.raises(MlinfraError, match="is not what is declared now: max_runtime"):
        platform.service.train(longer, again=True, say=platform.lines.append)
    assert platform.executions() == 1

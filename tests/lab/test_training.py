"""An execution of a pipeline runs the job's command: channels and results are in the emulated S3."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.aws.emulator import Emulator

pytestmark = pytest.mark.local

BUCKET = "lab-training"
SCRIPT = """
import json, os, pathlib, sys
rows = (pathlib.Path(os.environ["SM_CHANNEL_WEATHER"]) / "rows.csv").read_text()
if rows == "bad":
    sys.exit("the rows are bad")
model = pathlib.Path(os.environ["SM_MODEL_DIR"]) / "model.json"
model.write_text(json.dumps({"rows": rows, "depth": json.loads(os.environ["SM_HPS"])["depth"]}))
"""


class Platform:
    """A pipeline of one step."""

    def __init__(self, aws: Emulator) -> None:
        self.sagemaker: Any = aws.sagemaker
        self.s3: Any = aws.client("s3")
        where = {"LocationConstraint": "eu-west-1"}
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        self.put("code/train.py", SCRIPT)

        def channel(name: str, prefix: str) -> dict[str, Any]:
            source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}"}
            return {"ChannelName": name, "DataSource": {"S3DataSource": source}}

        run = {"Std:Join": {"On": "/", "Values": [f"s3://{BUCKET}/runs", {"Get": "Parameters.Run"}]}}
        step = {
            "AlgorithmSpecification": {
                "TrainingImage": "training",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python"],
                "ContainerArguments": ["/opt/ml/input/data/code/train.py"],
            },
            "RoleArn": "arn:aws:iam::123456789012:role/training",
            "InputDataConfig": [channel("code", "code"), channel("weather", "weather")],
            "OutputDataConfig": {"S3OutputPath": run},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "HyperParameters": {"depth": "3"},
        }
        definition = {
            "Version": "2020-12-01",
            "Parameters": [{"Name": "Run", "Type": "String"}],
            "Steps": [{"Name": "train", "Type": "Training", "Arguments": step}],
        }
        self.sagemaker.create_pipeline(
            PipelineName="train", PipelineDefinition=json.dumps(definition), RoleArn=step["RoleArn"]
        )

    def put(self, key: str, text: str) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())

    def run(self, rows: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what is told of an execution that has ended, and of its job."""
        self.put("weather/rows.csv", rows)
        parameters = [{"Name": "Run", "Value": "4711"}]
        started = self.sagemaker.start_pipeline_execution(PipelineName="train", PipelineParameters=parameters)
        arn = started["PipelineExecutionArn"]
        end = time.monotonic() + 60
        while time.monotonic() < end:
            told = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            if told["PipelineExecutionStatus"] not in ("Executing", "Stopping"):
                break
            time.sleep(0.1)
        steps = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        job = steps[0]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
        return told, self.sagemaker.describe_training_job(TrainingJobName=job)


@pytest.fixture
def platform(empty_aws: Emulator) -> Iterator[Platform]:
    made = Platform(empty_aws)
    yield made
    made.sagemaker.delete_pipeline(PipelineName="train")
    for job in made.sagemaker.list_training_jobs()["TrainingJobSummaries"]:
        made.sagemaker.delete_training_job(TrainingJobName=job["TrainingJobName"])
    for item in made.s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        made.s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    made.s3.delete_bucket(Bucket=BUCKET)


def test_a_run_reads_its_channels_and_leaves_its_model(platform: Platform) -> None:
    told, job = platform.run("1,2,3")
    assert told["PipelineExecutionStatus"] == "Succeeded", job.get("FailureReason")
    assert job["TrainingJobStatus"] == "Completed"
    place = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert place.startswith(f"s3://{BUCKET}/runs/4711/")
    packed = platform.s3.get_object(Bucket=BUCKET, Key=place.removeprefix(f"s3://{BUCKET}/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        model = archive.extractfile("model.json")
        assert model is not None
        assert json.loads(model.read()) == {"rows": "1,2,3", "depth": "3"}


def test_a_run_that_fails_says_why_and_leaves_no_model(platform: Platform) -> None:
    told, job = platform.run("bad")
    assert told["PipelineExecutionStatus"] == "Failed"
    assert "AlgorithmError" in job["FailureReason"]
    assert "the rows are bad" in told["FailureReason"]
    assert "S3ModelArtifacts" not in job.get("ModelArtifacts", {})

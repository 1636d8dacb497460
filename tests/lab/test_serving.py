"""Where an endpoint is InService, the serving image's server runs, answers by its weight, and is captured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from botocore.exceptions import ClientError

from mlinfra.digests import digest_tree
from tests.lab.aws.emulator import Emulator

pytestmark = pytest.mark.local

ROLE = "arn:aws:iam::123456789012:role/serving"
BUCKET = "lab-serving"
BODY = json.dumps({"inputs": [{"name": "hours", "datatype": "FP64", "shape": [1], "data": [3.0]}]}).encode()


def _artifact(folder: Path, slope: float) -> str:
    """Write a model that multiplies by `slope`, and return its runtime."""
    from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

    from mlinfra_serving.artifacts import write_model

    frame = pd.DataFrame({"hours": [0.0, 1.0, 2.0]})
    return write_model(LinearRegression().fit(frame, frame["hours"] * slope), frame, folder)


class Platform:
    """Models in the registry, made of artifacts in S3, and what serves them."""

    def __init__(self, aws: Emulator, folder: Path) -> None:
        self.aws = aws
        self.folder = folder
        self.sagemaker: Any = aws.sagemaker
        self.runtime: Any = aws.client("sagemaker-runtime")
        where = {"LocationConstraint": "eu-west-1"}
        aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        self.sagemaker.create_model_package_group(ModelPackageGroupName="flights")

    def release(self, name: str, slope: float, digest: str = "") -> None:
        folder = self.folder / name
        runtime = _artifact(folder, slope)
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"trees/{name}/{path.relative_to(folder).as_posix()}"
                self.aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
        source = {"S3Uri": f"s3://{BUCKET}/trees/{name}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        package = self.sagemaker.create_model_package(
            ModelPackageGroupName="flights",
            InferenceSpecification={
                "Containers": [{"Image": "serving", "ModelDataSource": {"S3DataSource": source}}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )
        settings = {
            "MLINFRA_SERVING_MODE": "sagemaker",
            "MLINFRA_SERVING_NAME": "flights",
            "MLINFRA_SERVING_RUNTIME": runtime,
            "MLINFRA_SERVING_MODEL_DIGEST": digest or digest_tree(folder),
            "MLINFRA_SERVING_RELEASE": name,
            "MLINFRA_SERVING_DRAIN_SECONDS": "0",
        }
        container = {"ModelPackageName": package["ModelPackageArn"], "Environment": settings}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def configure(self, name: str, **weights: float) -> None:
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {"VariantName": release, "ModelName": release, "InstanceType": "ml.m5.large",
                 "InitialInstanceCount": 1, "InitialVariantWeight": weight}
                for release, weight in weights.items()
            ],
            DataCaptureConfig={
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": f"s3://{BUCKET}/captured",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            },
        )  # fmt: skip

    def ask(self, times: int) -> list[tuple[str, float]]:
        """Return the variant and the prediction of so many requests."""
        answers = []
        for _ in range(times):
            told = self.runtime.invoke_endpoint(EndpointName="flights", Body=BODY, ContentType="application/json")
            prediction = json.loads(told["Body"].read())["outputs"][0]["data"][0]
            answers.append((told["InvokedProductionVariant"], round(prediction, 3)))
        return answers


@pytest.fixture
def platform(empty_aws: Emulator, tmp_path: Path) -> Iterator[Platform]:
    made = Platform(empty_aws, tmp_path)
    yield made
    sagemaker = made.sagemaker
    for endpoint in sagemaker.list_endpoints()["Endpoints"]:
        empty_aws.settled(endpoint["EndpointName"])
        sagemaker.delete_endpoint(EndpointName=endpoint["EndpointName"])
        sagemaker.get_waiter("endpoint_deleted").wait(
            EndpointName=endpoint["EndpointName"], WaiterConfig={"Delay": 1, "MaxAttempts": 10}
        )
    for configuration in sagemaker.list_endpoint_configs()["EndpointConfigs"]:
        sagemaker.delete_endpoint_config(EndpointConfigName=configuration["EndpointConfigName"])
    for model in sagemaker.list_models()["Models"]:
        sagemaker.delete_model(ModelName=model["ModelName"])
    for package in sagemaker.list_model_packages(ModelPackageGroupName="flights")["ModelPackageSummaryList"]:
        sagemaker.delete_model_package(ModelPackageName=package["ModelPackageArn"])
    sagemaker.delete_model_package_group(ModelPackageGroupName="flights")
    s3 = empty_aws.client("s3")
    for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def test_requests_are_answered_split_by_weight_through_updates_and_captured(platform: Platform) -> None:
    platform.release("first", 2)
    platform.release("second", 10)
    platform.configure("one", first=1)
    platform.sagemaker.create_endpoint(EndpointName="flights", EndpointConfigName="one")
    with pytest.raises(ClientError, match="not found"):
        platform.ask(1)
    assert platform.aws.settled("flights")["EndpointStatus"] == "InService"
    assert platform.ask(2) == [("first", 6.0)] * 2

    platform.configure("two", first=3, second=1)
    platform.sagemaker.update_endpoint(EndpointName="flights", EndpointConfigName="two")
    assert platform.ask(1) == [("first", 6.0)], "the old fleet answers until the new one does"
    platform.aws.settled("flights")
    answers = platform.ask(8)
    assert (answers.count(("first", 6.0)), answers.count(("second", 30.0))) == (6, 2)
    counted = platform.aws.invocations()
    assert (counted["flights/first"], counted["flights/second"]) == (9, 2)

    listed = platform.aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="captured/flights/second/")["Contents"]
    record = platform.aws.client("s3").get_object(Bucket=BUCKET, Key=listed[0]["Key"])["Body"].read()
    captured = json.loads(record)["captureData"]
    assert captured["endpointInput"]["data"].encode() == BODY
    assert json.loads(captured["endpointOutput"]["data"])["outputs"][0]["data"] == [pytest.approx(30.0)]


def test_a_model_that_cannot_be_served_fails_its_endpoint(platform: Platform) -> None:
    platform.release("wrong", 2, digest="sha256:" + "0" * 64)
    platform.configure("one", wrong=1)
    platform.sagemaker.create_endpoint(EndpointName="flights", EndpointConfigName="one")
    told = platform.aws.settled("flights")
    assert told["EndpointStatus"] == "Failed"
    assert "production variant wrong did not pass the ping health check" in told["FailureReason"]

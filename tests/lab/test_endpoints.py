"""The emulated SageMaker endpoint behaves as documentation and users of the cloud say (`aws/server/endpoints.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.lab.aws.emulator import Emulator

ROLE = "arn:aws:iam::123456789012:role/serving"


class Endpoint:
    """An endpoint `e` with the variants a (weight 1) and b (weight 3)."""

    def __init__(self, aws: Emulator) -> None:
        self.aws = aws
        self.sagemaker: Any = aws.sagemaker
        self.sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "x"})
        self.configure("first")
        self.sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="first")

    def configure(self, name: str, instance: str = "ml.m5.large", **weights: float) -> None:
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {"VariantName": variant, "ModelName": "m", "InstanceType": instance, "InitialInstanceCount": 1,
                 "InitialVariantWeight": weight}
                for variant, weight in (weights or {"a": 1, "b": 3}).items()
            ],
        )  # fmt: skip

    def update(self, name: str, **more: Any) -> dict[str, Any]:
        self.sagemaker.update_endpoint(EndpointName="e", EndpointConfigName=name, **more)
        return self.aws.settled("e")

    def weigh(self, **weights: float) -> None:
        wanted = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
        self.sagemaker.update_endpoint_weights_and_capacities(EndpointName="e", DesiredWeightsAndCapacities=wanted)

    def weights(self) -> dict[str, float]:
        listed = self.aws.settled("e")["ProductionVariants"]
        return {variant["VariantName"]: variant["CurrentWeight"] for variant in listed}


@pytest.fixture
def endpoint(empty_aws: Emulator) -> Iterator[Endpoint]:
    made = Endpoint(empty_aws)
    yield made
    empty_aws.no_faults()
    empty_aws.settled("e")
    made.sagemaker.delete_endpoint(EndpointName="e")
    for configuration in made.sagemaker.list_endpoint_configs()["EndpointConfigs"]:
        made.sagemaker.delete_endpoint_config(EndpointConfigName=configuration["EndpointConfigName"])
    made.sagemaker.delete_model(ModelName="m")
    waiting = made.sagemaker.get_waiter("endpoint_deleted")
    waiting.wait(EndpointName="e", WaiterConfig={"Delay": 1, "MaxAttempts": 10})


def _refused(message: str) -> Any:
    return pytest.raises(ClientError, match=message)


def test_it_takes_time_and_takes_one_change_at_a_time(endpoint: Endpoint) -> None:
    assert endpoint.sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Creating"
    with _refused("in-progress"):
        endpoint.weigh(a=1)
    endpoint.aws.settled("e")
    endpoint.weigh(a=9)
    assert endpoint.sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "Updating"
    with _refused("in-progress"):
        endpoint.weigh(a=1)
    assert endpoint.weights() == {"a": 9, "b": 3}


def test_an_update_resets_the_weights_unless_it_retains_them(endpoint: Endpoint) -> None:
    endpoint.aws.settled("e")
    endpoint.weigh(a=9, b=1)
    endpoint.aws.settled("e")
    endpoint.configure("second")
    endpoint.update("second", RetainAllVariantProperties=True)
    assert endpoint.weights() == {"a": 9, "b": 1}
    endpoint.configure("third")
    endpoint.update("third")
    assert endpoint.weights() == {"a": 1, "b": 3}


@pytest.mark.parametrize(("fault", "reason"), [("silent-rollback", None), ("rollback-with-reason", "alarms")])
def test_a_rollback_serves_the_old_configuration(endpoint: Endpoint, fault: str, reason: str | None) -> None:
    endpoint.aws.settled("e")
    endpoint.configure("second", a=1)
    endpoint.aws.fault(fault)
    told = endpoint.update("second")
    assert told["EndpointStatus"] == "InService"
    assert told["EndpointConfigName"] == "first"
    assert {variant["VariantName"] for variant in told["ProductionVariants"]} == {"a", "b"}
    assert (reason is None) == ("FailureReason" not in told)
    assert reason is None or reason in told["FailureReason"]


def test_without_capacity_a_new_endpoint_fails_and_an_update_goes_back(endpoint: Endpoint) -> None:
    endpoint.aws.settled("e")
    endpoint.configure("second", a=1)
    endpoint.aws.fault("no-capacity")
    told = endpoint.update("second")
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "first")
    assert "InsufficientInstanceCapacity" in told["FailureReason"]
    endpoint.aws.fault("no-capacity")
    endpoint.sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="second")
    told = endpoint.aws.settled("other")
    assert told["EndpointStatus"] == "Failed"
    with _refused("in-progress"):
        endpoint.sagemaker.update_endpoint(EndpointName="other", EndpointConfigName="first")
    endpoint.sagemaker.delete_endpoint(EndpointName="other")


def test_a_quota_refuses_before_anything_is_made(endpoint: Endpoint) -> None:
    endpoint.aws.settled("e")
    endpoint.aws.fault("quota")
    with _refused("ResourceLimitExceeded.*service limit 'ml.m5.large"):
        endpoint.sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="first")
    assert [item["EndpointName"] for item in endpoint.sagemaker.list_endpoints()["Endpoints"]] == ["e"]


def test_a_deleted_configuration_that_serves_is_missed_at_the_next_update(endpoint: Endpoint) -> None:
    endpoint.aws.settled("e")
    endpoint.sagemaker.delete_endpoint_config(EndpointConfigName="first")
    endpoint.configure("second")
    with _refused('Could not find endpoint configuration ".*/first"'):
        endpoint.update("second")


def test_a_scaled_variant_keeps_its_instance_type_and_its_place(endpoint: Endpoint) -> None:
    endpoint.aws.settled("e")
    scaling = endpoint.aws.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/e/variant/b",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    endpoint.configure("larger", "ml.m5.xlarge", a=1, b=3)
    endpoint.configure("without", a=1)
    with _refused("change the instance type of variant b"):
        endpoint.update("larger")
    with _refused("remove variant b"):
        endpoint.update("without")
    scaling.deregister_scalable_target(**target)
    assert endpoint.update("without")["EndpointConfigName"] == "without"


def test_serverless_excludes_capture_and_a_second_variant(endpoint: Endpoint) -> None:
    serverless = {
        "VariantName": "a",
        "ModelName": "m",
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 2},
    }
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 20,
        "DestinationS3Uri": "s3://captured",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    create = endpoint.sagemaker.create_endpoint_config
    with _refused("Data capture is not supported"):
        create(EndpointConfigName="s", ProductionVariants=[serverless], DataCaptureConfig=capture)
    with _refused("Only one production variant"):
        create(EndpointConfigName="s", ProductionVariants=[serverless, serverless | {"VariantName": "b"}])


def test_requests_are_throttled_and_connections_lost(endpoint: Endpoint) -> None:
    endpoint.aws.settled("e")
    endpoint.aws.fault("throttle", operation="DescribeEndpoint")
    with _refused("Rate exceeded"):
        endpoint.sagemaker.describe_endpoint(EndpointName="e")
    endpoint.aws.fault("lost-before", operation="CreateEndpointConfig")
    with pytest.raises(ConnectionClosedError):
        endpoint.configure("second")
    endpoint.aws.fault("lost-after", operation="CreateEndpointConfig")
    with pytest.raises(ConnectionClosedError):
        endpoint.configure("third")
    names = {item["EndpointConfigName"] for item in endpoint.sagemaker.list_endpoint_configs()["EndpointConfigs"]}
    assert names == {"first", "third"}


def test_values_outside_the_model_are_refused(endpoint: Endpoint) -> None:
    with _refused("ProductionVariants\\[0\\].InstanceType.*is not one of"):
        endpoint.configure("second", "ml.m5.huge")

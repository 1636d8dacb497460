"""SageMaker's lab is what the scenarios ask of every target: `tests/lab/target.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from mlinfra.environment import Environment
from mlinfra_providers.sagemaker import SageMaker
from tests.lab.aws.target import SageMakerTarget, running
from tests.lab.target import Fault, Target, Unanswered
from tests.lab.test_serving import ROLE

ENV = "prod"


@pytest.fixture(scope="module")
def target() -> Iterator[SageMakerTarget]:
    """The lab."""
    with running() as made:
        yield made


@pytest.fixture(autouse=True)
def _empty(target: SageMakerTarget) -> None:
    target.empty()


def _serve(target: SageMakerTarget) -> None:
    """Let an endpoint `crowds` of `prod` serve two releases, a with everything."""
    api = target.emulator.sagemaker
    for release in ("a", "b"):
        api.create_model(ModelName=release, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "x"})
    api.create_endpoint_config(
        EndpointConfigName="first",
        ProductionVariants=[
            {"VariantName": release, "ModelName": release, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
             "InitialVariantWeight": weight}
            for release, weight in {"a": 1.0, "b": 0.0}.items()
        ],
    )  # fmt: skip
    api.create_endpoint(EndpointName="prod-crowds", EndpointConfigName="first")
    target.emulator.settled("prod-crowds")


def test_an_environment_takes_its_place_and_its_plugins(target: Target) -> None:
    environment = Environment.model_validate({"name": ENV, "target": target.name, "stacks": ["crowds"], **target.place})
    assert list(SageMaker().refuse_environment(environment)) == []
    assert list(Path(target.environment["PULUMI_HOME"]).glob("plugins/resource-aws-*/pulumi-resource-aws"))
    assert httpx.get(target.environment["AWS_ENDPOINT_URL"], trust_env=False).is_success
    assert target.lacks == {}


def test_nothing_is_there_before_and_after(target: SageMakerTarget) -> None:
    assert target.there() == []
    with pytest.raises(Unanswered, match="not found"):
        target.ask(ENV, "crowds", b"{}")
    _serve(target)
    assert target.there() == ["Endpoint prod-crowds", "EndpointConfig first", "Model a", "Model b"]
    target.empty()
    assert target.there() == []


def test_what_is_changed_by_hand_is_changed(target: SageMakerTarget) -> None:
    _serve(target)
    target.shift_by_hand(ENV, "crowds", {"a": 70, "b": 30})
    target.scale_by_hand(ENV, "crowds", "b", 3)
    target.swap_by_hand(ENV, "crowds", "a", "b")
    told = target.emulator.settled("prod-crowds")
    variants = {item["VariantName"]: (item["CurrentWeight"], item["CurrentInstanceCount"])
                for item in told["ProductionVariants"]}  # fmt: skip
    assert variants == {"a": (70.0, 1), "b": (30.0, 3)}
    configuration = target.emulator.sagemaker.describe_endpoint_config(EndpointConfigName=told["EndpointConfigName"])
    assert [item["ModelName"] for item in configuration["ProductionVariants"]] == ["b", "b"]


def test_faults_concern_requests_to_sagemaker_until_they_are_healed(target: SageMakerTarget) -> None:
    api = target.emulator.sagemaker
    target.fail(Fault.LOST_BEFORE)
    assert api.list_models()["Models"] == [], "of what changes nothing no connection is lost"
    with pytest.raises(ConnectionClosedError):
        api.create_model(ModelName="a", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "x"})
    target.fail(Fault.LOST_AFTER)
    with pytest.raises(ConnectionClosedError):
        api.create_model(ModelName="b", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "x"})
    assert target.there() == ["Model b"]
    target.fail(Fault.THROTTLED, times=2)
    target.emulator.client("s3").list_buckets()
    with pytest.raises(ClientError, match="Rate exceeded"):
        api.list_models()
    target.heal()
    assert len(api.list_models()["Models"]) == 1

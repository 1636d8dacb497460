"""Wire inputs are judged by the SDK's inputs and by botocore's model, in paths of the wire."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.arguments import problems
from tests.lab.aws.cloud import Aws, kinds
from tests.lab.aws.kinds import restricted
from tests.lab.cloud import Question
from tests.lab.wire import UNKNOWN, differences, opened, sealed, shown, to_struct

VARIANT = {"variantName": "a", "modelName": "m", "instanceType": "ml.m5.large", "initialInstanceCount": 1}


def judged(token: str, **inputs: Any) -> list[str]:
    answer = Aws().check(Question(token, "x", inputs, {}, b"seed"))
    return [f"{shown(failure.path)}: {failure.message}" for failure in answer.failures]


def configuration(**variant: Any) -> list[str]:
    return judged(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration", productionVariants=[{**VARIANT, **variant}]
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"instanceType": "ml.m5.huge"}, "productionVariants[0].instanceType: 'ml.m5.huge' is not one of ml.m5."),
        ({"variantName": "a_b"}, "productionVariants[0].variantName: 'a_b' does not match "),
        ({"volumeSizeInGb": 513}, "productionVariants[0].volumeSizeInGb: 513 is more than 512"),
        ({"initialVariantWeight": -1}, "productionVariants[0].initialVariantWeight: -1 is less than 0"),
        ({"colour": "red"}, "productionVariants[0].colour: is not one of "),
        ({"initialInstanceCount": "two"}, "productionVariants[0].initialInstanceCount: should be int, not 'two'"),
        (
            {"serverlessConfig": {"memorySizeInMb": 100}},
            "productionVariants[0].serverlessConfig.maxConcurrency: is req",
        ),
    ],
)
def test_each_kind_of_wrong_value_is_told_with_its_path(wrong: dict[str, Any], told: str) -> None:
    found = configuration(**wrong)
    assert [text for text in found if text.startswith(told)], found


def test_right_and_unknown_values_are_not_told() -> None:
    assert configuration() == []
    assert configuration(instanceType=UNKNOWN, modelName=UNKNOWN, initialInstanceCount=UNKNOWN) == []
    assert judged("aws:sagemaker/endpointConfiguration:EndpointConfiguration", productionVariants=UNKNOWN) == []


def test_what_the_sdk_leaves_open_the_api_requires() -> None:
    """Pulumi has the role of a pipeline as optional."""
    assert judged("aws:sagemaker/pipeline:Pipeline", pipelineName="p", pipelineDisplayName="p") == [
        "roleArn: is required"
    ]


def test_several_problems_are_told_at_once() -> None:
    found = configuration(instanceType="ml.m5.huge", volumeSizeInGb=0)
    assert len(found) == 2


@pytest.mark.parametrize(
    ("token", "inputs", "told"),
    [
        ("aws:s3/bucket:Bucket", {"bucket": "Not_A_Bucket"}, "bucket: 'Not_A_Bucket' is no name of a bucket"),
        ("aws:kms/key:Key", {"deletionWindowInDays": 3}, "deletionWindowInDays: 3 is not between 7 and 30"),
        ("aws:cloudwatch/logGroup:LogGroup", {"retentionInDays": 31}, "retentionInDays: 31 is not one of "),
        ("aws:iam/role:Role", {"assumeRolePolicy": "{}"}, "assumeRolePolicy: is no JSON policy document"),
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.1/16"}, "cidrBlock: 10.0.0.1/16 has host bits set"),
        ("aws:iam/role:Role", {"assumeRolePolicy": UNKNOWN, "name": "x" * 65}, "name: has 65 characters"),
    ],
)
def test_what_the_model_does_not_say(token: str, inputs: dict[str, Any], told: str) -> None:
    found = judged(token, **inputs)
    assert [text for text in found if text.startswith(told)], found


def test_every_type_has_its_inputs_in_the_sdk_and_its_calls_in_the_model() -> None:
    for kind in kinds().values():
        assert kind.arguments.types, kind.token
        assert kind.in_place <= kind.arguments.types.keys() | {"tags"}, kind.token
        assert list(problems(kind.arguments, {})) is not None


def test_a_generated_name_stays() -> None:
    token, inputs = "aws:sagemaker/model:Model", {"executionRoleArn": UNKNOWN}
    first = Aws().check(Question(token, "flights", inputs, {}, b"seed")).inputs
    assert first["name"].startswith("flights-")
    again = Aws().check(Question(token, "flights", inputs, first, b"another seed")).inputs
    assert again == first
    given = Aws().check(Question(token, "flights", {**inputs, "name": "mine"}, first, b"seed")).inputs
    assert given["name"] == "mine"
    assert "__defaults" not in given


def test_only_what_was_declared_is_compared() -> None:
    kind = kinds()["aws:sagemaker/endpointConfiguration:EndpointConfiguration"]
    live = {"productionVariants": [{**VARIANT, "initialVariantWeight": 1}], "tags": {"by-hand": "yes"}, "name": "x"}
    declared = {"productionVariants": [VARIANT], "tags": {}}
    assert restricted(live, declared, kind.arguments) == {"productionVariants": [VARIANT], "tags": {"by-hand": "yes"}}


def test_secrets_survive_the_way_there_and_back() -> None:
    wrapped = sealed({"a": {"b": ["x", "y"]}, "c": 1}, {("a", "b", 1), ("c",)})
    plain, secrets = opened(to_struct(wrapped))
    assert plain == {"a": {"b": ["x", "y"]}, "c": 1}
    assert secrets == {("a", "b", 1), ("c",)}


def test_differences_name_the_deepest_path() -> None:
    old, new = {"a": [{"b": 1}], "c": 1, "d": True}, {"a": [{"b": 2}, {}], "d": 1, "e": 1}
    found = {(shown(path), was, is_) for path, was, is_ in differences(old, new)}
    assert found == {
        ("a[0].b", True, True),
        ("a[1]", False, True),
        ("c", True, False),
        ("d", True, True),
        ("e", False, True),
    }

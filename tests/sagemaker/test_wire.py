"""Every registered input is one that AWS's API takes: checked against botocore's model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mlinfra.resources import UNKNOWN, Resources
from mlinfra_providers.instances import machines
from mlinfra_providers.sagemaker.resources import endpoint, model_version
from tests.sagemaker import botocore_model, wire

Reference = Callable[..., Resources]
WITHOUT_NETWORK_AND_KEY = {"network": None, "encryption": None}


@pytest.mark.parametrize("released", [0, 1, 2])
@pytest.mark.parametrize("changes", [{}, WITHOUT_NETWORK_AND_KEY], ids=["existing", "made"])
def test_every_typed_resource_has_arguments_that_the_api_takes(
    reference: Reference, released: int, changes: Mapping[str, Any]
) -> None:
    wrong, checked = [], set()
    for resource in reference(released, **changes).declared():
        if resource.type in wire.OPERATIONS:
            api, operation = wire.OPERATIONS[resource.type]
            arguments = wire.arguments(api, operation, resource.inputs)
            wrong += [f"{resource.urn}: {text}" for text in botocore_model.problems(api, operation, arguments)]
            checked.add(resource.type)
    assert wrong == []
    assert "aws:sagemaker/featureGroup:FeatureGroup" in checked
    assert released == 0 or "aws:scheduler/schedule:Schedule" in checked


JOBS = {
    "Training": ("CreateTrainingJob", "TrainingJobName"),
    "Processing": ("CreateProcessingJob", "ProcessingJobName"),
}


def test_the_jobs_of_pipelines_have_arguments_that_the_api_takes(reference: Reference) -> None:
    pipelines = [item for item in reference(1).declared() if item.type == "aws:sagemaker/pipeline:Pipeline"]
    found = []
    for pipeline in pipelines:
        definition = json.loads(pipeline.inputs["pipelineDefinition"])
        (step,) = definition["Steps"]
        operation, name = JOBS[step["Type"]]
        assert botocore_model.problems("sagemaker", operation, {name: "run", **_with_values(step["Arguments"])}) == []
        assert definition["Version"] == "2020-12-01"
        found.append(step["Type"])
    assert sorted(found) == ["Processing", "Processing", "Training", "Training"]


def test_plugin_resources_ask_for_what_the_api_takes(reference: Reference) -> None:
    found = {resource.type: resource for resource in reference(2).declared()}
    version = model_version.request(found["mlinfra:sagemaker:ModelVersion"].inputs)
    assert botocore_model.problems("sagemaker", "CreateModelPackage", version) == []
    declared = found["mlinfra:sagemaker:Endpoint"].inputs
    update = {
        "EndpointName": declared["name"],
        "EndpointConfigName": declared["endpointConfigName"],
        "RetainAllVariantProperties": True,
        "DeploymentConfig": endpoint.guard(declared["deploymentConfig"]),
    }
    assert botocore_model.problems("sagemaker", "UpdateEndpoint", update) == []


def test_the_check_sees_what_is_wrong() -> None:
    """A value outside an enum, a pattern, a range; a member that is missing, and one that is not there."""
    said = botocore_model.problems(
        "sagemaker",
        "CreateEndpointConfig",
        {
            "EndpointConfigName": "-bad",
            "More": 1,
            "ProductionVariants": [{"InstanceType": "ml.m5.huge", "InitialInstanceCount": 0}],
        },
    )
    text = "\n".join(said)
    assert "EndpointConfigName: '-bad' does not match" in text
    assert "More: no such member" in text
    assert "InstanceType: 'ml.m5.huge' is not one of" in text
    assert "InitialInstanceCount: 0  is below 1" in text
    assert "ProductionVariants[0].VariantName is missing" in text


@pytest.mark.parametrize("shape", ["ProductionVariantInstanceType", "TrainingInstanceType", "ProcessingInstanceType"])
def test_every_machine_serves_trains_and_monitors(shape: str) -> None:
    taken = set(botocore_model.service("sagemaker").shape_for(shape).enum)
    assert {machine.name for machine in machines("mlinfra_providers.sagemaker")} <= taken


def _with_values(value: Any) -> Any:
    """Return a step's arguments with values where the pipeline puts some in when it runs."""
    if isinstance(value, Mapping):
        if set(value) == {"Get"}:
            return "value"
        if set(value) == {"Std:Join"}:
            return value["Std:Join"]["On"].join(_with_values(item) for item in value["Std:Join"]["Values"])
        return {key: _with_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_values(item) for item in value]
    return UNKNOWN if value is None else value

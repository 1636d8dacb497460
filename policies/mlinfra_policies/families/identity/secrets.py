"""IAM-06: no credential stands in an environment variable, a hyperparameter or a script."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_unknown
from mlinfra.resources import SECRET, Resource
from mlinfra_policies.families.identity.credentials import assigned, is_literal, is_secret_name, looks_like
from mlinfra_policies.pods import pods

_AZURE = "azure-native:machinelearningservices:"
_MODEL_GARDEN = "gcp:vertex/aiEndpointWithModelGardenDeployment:AiEndpointWithModelGardenDeployment"
_SETUP = "properties.properties.setupScripts.scripts"
_VARIABLES = {
    "aws:sagemaker/model:Model": ("primaryContainer.environment", "containers[].environment"),
    "aws:sagemaker/trainingJob:TrainingJob": ("environment", "hyperParameters"),
    "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob": tuple(
        f"trainingJobDefinition{each}.{field}"
        for each in ("", "s[]")
        for field in ("environment", "staticHyperParameters")
    ),
    "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": ("dataQualityAppSpecification.environment",),
    "aws:sagemaker/monitoringSchedule:MonitoringSchedule": (
        "monitoringScheduleConfig.monitoringJobDefinition.environment",
    ),
    _MODEL_GARDEN: ("modelConfig.containerSpec.envs",),
    "gcp:colab/runtimeTemplate:RuntimeTemplate": ("softwareConfig.envs",),
    "gcp:colab/schedule:Schedule": ("createPipelineJobRequest.pipelineJob.runtimeConfig.parameterValues",),
    "google-native:aiplatform/v1:CustomJob": ("jobSpec.workerPoolSpecs[].containerSpec.env",),
    f"{_AZURE}OnlineDeployment": ("properties.environmentVariables",),
    f"{_AZURE}BatchDeployment": ("properties.environmentVariables",),
    f"{_AZURE}Job": tuple(f"properties.{each}environmentVariables" for each in ("", "trial.", "jobs{}.")),
}
"""By type: where names have values, as an object or as a list of names and values."""

_SCRIPTS = {
    "aws:sagemaker/notebookInstanceLifecycleConfiguration:NotebookInstanceLifecycleConfiguration": (
        "onStart",
        "onCreate",
    ),
    "aws:sagemaker/studioLifecycleConfig:StudioLifecycleConfig": ("studioLifecycleConfigContent",),
    "gcp:colab/runtimeTemplate:RuntimeTemplate": ("softwareConfig.postStartupScriptConfig.postStartupScript",),
    f"{_AZURE}Compute": (f"{_SETUP}.creationScript.scriptData", f"{_SETUP}.startupScript.scriptData"),
}
_IN_PODS = "valueFrom: {secretKeyRef: {name: …, key: …}}"


@decides("IAM-06", *_VARIABLES)
def secrets_in_variables(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Values of variables and parameters."""
    places = [place for path in _VARIABLES[_known(resource.type)] for place in every(resource.inputs, path)]
    yield from _unless_marked(resource, (answer for place in places for answer in _in(place)))


@decides("IAM-06", *_SCRIPTS)
def secrets_in_scripts(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Life-cycle scripts, which the API takes in base64."""
    for path in _SCRIPTS[_known(resource.type)]:
        yield from _in_script(at(resource.inputs, path))


@decides("IAM-06", _MODEL_GARDEN)
def secret_of_hugging_face(endpoint: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The token that a model is fetched with."""
    token = at(endpoint.inputs, "modelConfig.huggingFaceAccessToken")
    yield from _unless_marked(endpoint, _judged("huggingFaceAccessToken", token))


@decides("IAM-06", "kubernetes:*")
def secrets_in_pods(workload: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Variables of every container of every pod."""
    for pod in pods(workload):
        for container in pod.containers():
            for answer in _unless_marked(workload, _in(container.at("env"))):
                yield replace(answer, remedy=_IN_PODS)


def _unless_marked(resource: Resource, answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yield answers without those on inputs that the program marks secret as a whole: nothing stands there plainly."""
    for answer in answers:
        if resource.inputs.get(answer.path) != SECRET:
            yield answer


def _in(place: Value, name: str = "") -> Iterator[Answer]:
    """Yield what is wrong with a value and with all below; a list may be one of names and values."""
    value = place.value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _in(Value(f"{place.path}.{key}", item), str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            inner = Value(f"{place.path}[{number}]", item)
            if isinstance(item, Mapping) and "name" in item:
                yield from _in(Value(f"{inner.path}.value", item.get("value")), str(item["name"]))
            else:
                yield from _in(inner, name)
    elif name:
        yield from _judged(name, place)
    elif place.unknown:
        yield unknown(place.path)


def _judged(name: str, value: Value) -> Iterator[Answer]:
    secret = is_secret_name(name)
    if is_unknown(value.value):
        if secret:
            yield unknown(value.path, f"{name} may carry a credential, which is known only after an up")
    else:
        found = looks_like(str(value.value))
        if found:
            yield violation(value.path, f"the value looks like {found}")
        elif secret and is_literal(value.value):
            yield violation(value.path, f"{name} carries a literal value")
        else:
            for inner in assigned(str(value.value)):
                yield violation(value.path, f"{inner} is given a literal value")


def _in_script(script: Value) -> Iterator[Answer]:
    if is_unknown(script.value):
        yield unknown(script.path)
    else:
        for number, line in enumerate(_decoded(str(script.value)).splitlines(), 1):
            found = looks_like(line)
            if found:
                yield violation(script.path, f"line {number} has what looks like {found}")
            for name in assigned(line):
                yield violation(script.path, f"line {number}: {name} is given a literal value")


def _decoded(text: str) -> str:
    """Return a script in base64 as text; one that is none as it is."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        return text


def _known(token: str) -> str:
    """Return an Azure token without its version, as the tables have it."""
    return f"{_AZURE}{token.rpartition(':')[2]}" if token.startswith("azure-native:") else token

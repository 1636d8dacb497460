"""Whether endpoints are watched: for drift in production, for bias where a use is of high risk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_absent, is_unknown
from mlinfra.resources import Resource
from mlinfra_policies.production import production_only

_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_SCHEDULE = "aws:sagemaker/monitoringSchedule:MonitoringSchedule"
_DEFINITIONS = {
    "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": "name",
    "aws-native:sagemaker:*JobDefinition": "jobDefinitionName",
}
"""The types of job definitions, with the input that names one."""
_QUALITIES = ("dataQuality", "modelQuality", "modelBias", "modelExplainability")
_AZURE = "azure-native:machinelearningservices"
_ONLINE_ENDPOINT = f"{_AZURE}:OnlineEndpoint"
_ONLINE_DEPLOYMENT = f"{_AZURE}:OnlineDeployment"
_BIAS = {"ModelBias", "ModelExplainability", "FeatureAttributionDrift"}
"""What SageMaker and Azure ML call the monitors of bias and of explanations."""


@dataclass(frozen=True)
class _Monitor:
    """A monitor: whether it names the endpoint that is judged, and whether it is one of bias; None: not known."""

    names: bool | None
    bias: bool | None


@decides("AUD-02", _ENDPOINT, _ONLINE_ENDPOINT)
@production_only
def endpoints_have_a_monitor(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    path = "name" if resource.type == _ENDPOINT else "endpointName"
    answers = [monitor.names for monitor in _monitors(resource, inspection)]
    if True in answers:
        return
    if None in answers:
        yield unknown(path, "a monitor exists, and what it watches is not known")
    elif not inspection.complete:
        yield unknown(path, "a monitor may be among the resources that are not printed")
    else:
        yield violation(path, "no monitor of the plan names this endpoint")


@decides("AUD-03", _ENDPOINT, _ONLINE_ENDPOINT)
def risky_endpoints_are_watched_for_bias(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    tags, complete = inspection.known_tags(resource)
    risk = tags.get("airisk")
    unsure = is_unknown(risk) or (is_absent(risk) and not complete)
    answers = [monitor.bias for monitor in _monitors(resource, inspection) if monitor.names is not False]
    if True in answers or not (unsure or str(risk).strip().lower() == "high"):
        return
    if unsure:
        yield unknown("tags", "whether its use is of high risk is known only after an up")
    elif None in answers:
        yield unknown("tags", "a monitor exists, and of which kind is not known")
    elif not inspection.complete:
        yield unknown("tags", "a monitor may be among the resources that are not printed")
    else:
        yield violation("tags", "tagged as of high risk, and no monitor of bias or explanations watches it")


def _monitors(endpoint: Resource, inspection: Inspection) -> list[_Monitor]:
    """Return the monitors of the plan, as seen from an endpoint."""
    if endpoint.type == _ENDPOINT:
        schedules = inspection.of(_SCHEDULE)
        kind = "monitoringScheduleConfig.monitoringType"
        return [_Monitor(_watches(each, endpoint, inspection), _is_bias(each, kind)) for each in schedules]
    definition = "properties.action.monitorDefinition"
    schedules = [each for each in inspection.of(f"{_AZURE}:Schedule") if not at(each.inputs, definition).absent]
    kind = f"{definition}.signals{{}}.signalType"
    return [_Monitor(_targets(each, endpoint, inspection), _is_bias(each, kind)) for each in schedules]


def _is_bias(schedule: Resource, path: str) -> bool | None:
    kinds = every(schedule.inputs, path)
    if any(kind.value in _BIAS for kind in kinds):
        return True
    return None if any(kind.unknown for kind in kinds) else False


def _watches(schedule: Resource, endpoint: Resource, inspection: Inspection) -> bool | None:
    """Whether a schedule of SageMaker names an endpoint, itself or through a job definition."""
    config = at(schedule.inputs, "monitoringScheduleConfig")
    [name] = every(config, "monitoringJobDefinitionName")
    [inline] = every(config, "monitoringJobDefinition.monitoringInputs.endpointInput.endpointName")
    answers = [_is_meant(schedule, inline, endpoint, inspection)]
    definitions = [
        each for type_, path in _DEFINITIONS.items() for each in inspection.referred(schedule, name, path, type_)
    ]
    for definition in definitions:
        for quality in _QUALITIES:
            watched = at(definition.inputs, f"{quality}JobInput.endpointInput.endpointName")
            answers.append(_is_meant(definition, watched, endpoint, inspection))
    if not name.absent and not definitions:
        answers.append(None)
    return True if True in answers else None if None in answers else False


def _is_meant(holder: Resource, reference: Value, endpoint: Resource, inspection: Inspection) -> bool | None:
    """Whether a name in some resource is that of an endpoint of SageMaker."""
    found = inspection.referred(holder, reference, "name", _ENDPOINT)
    if found or reference.absent:
        return endpoint in found
    return None if reference.unknown or at(endpoint.inputs, "name").unknown else False


def _targets(schedule: Resource, endpoint: Resource, inspection: Inspection) -> bool | None:
    """Whether a schedule of Azure ML names an endpoint, by the ID of one of its deployments or by reference."""
    target = at(schedule.inputs, "properties.action.monitorDefinition.monitoringTarget.deploymentId")
    if target.unknown:
        found = inspection.referred(schedule, target, "", _ONLINE_ENDPOINT)
        for deployment in inspection.referred(schedule, target, "", _ONLINE_DEPLOYMENT):
            name = at(deployment.inputs, "endpointName")
            found += inspection.referred(deployment, name, "endpointName", _ONLINE_ENDPOINT)
        return endpoint in found if found else None
    found_name = re.search(r"onlineEndpoints/([^/]+)/|azureml:([^:/]+):", str(target.value), re.IGNORECASE)
    name = at(endpoint.inputs, "endpointName")
    if found_name is None or not name.unknown:
        return found_name is not None and name.value in found_name.groups()
    return None

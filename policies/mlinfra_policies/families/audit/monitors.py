"""Whether endpoints are watched: for drift in production, for bias where a use is of high risk."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_absent, is_unknown
from mlinfra.resources import Resource
from mlinfra_policies.production import production_only

_ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
_SCHEDULE = "aws:sagemaker/monitoringSchedule:MonitoringSchedule"
_STARTER = "aws:scheduler/schedule:Schedule"
_PIPELINE = "aws:sagemaker/pipeline:Pipeline"
_WATCHES = "tags.mlinfra:endpoint"
_DEFINITIONS = {
    "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": "name",
    "aws-native:sagemaker:*JobDefinition": "jobDefinitionName",
}
"""The types of job definitions, with the input that names one."""
_QUALITIES = ("dataQuality", "modelQuality", "modelBias", "modelExplainability")
_AZURE = "azure-native:machinelearningservices"
_ONLINE_ENDPOINT = f"{_AZURE}:OnlineEndpoint"
_ONLINE_DEPLOYMENT = f"{_AZURE}:OnlineDeployment"
_DEFINITION = "properties.action.monitorDefinition"
_BIAS = ("ModelBias", "ModelExplainability", "FeatureAttributionDrift")
"""What SageMaker and Azure ML call the monitors of bias and of explanations."""


@dataclass(frozen=True)
class _Monitor:
    """A monitor: the endpoints of the plan that it watches, as URNs, and whether it is one of bias (None: unknown)."""

    watched: frozenset[str]
    bias: bool | None
    unsure: bool
    """Whether what it watches is not known, so that it may be any endpoint."""
    elsewhere: bool
    """Whether it names an endpoint that no known name of the plan fits."""

    def names(self, endpoint: Resource, name: Value) -> bool | None:
        """Whether it watches an endpoint with this name; None where that is not known."""
        if endpoint.urn in self.watched:
            return True
        return None if self.unsure or name.unknown else False


@decides("AUD-02", _ENDPOINT, _ONLINE_ENDPOINT)
@production_only
def endpoints_have_a_monitor(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    name = _name(resource)
    answers = [monitor.names(resource, name) for monitor in _monitors(resource, inspection)]
    if True in answers:
        return
    if None in answers:
        yield unknown(name.path, "a monitor exists, and what it watches is not known")
    elif not inspection.complete:
        yield unknown(name.path, "a monitor may be among the resources that are not printed")
    else:
        yield violation(name.path, "no monitor of the plan names this endpoint")


@decides("AUD-03", _ENDPOINT, _ONLINE_ENDPOINT)
def risky_endpoints_are_watched_for_bias(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    tags, complete = inspection.known_tags(resource)
    risk = tags.get("airisk")
    unsure = is_unknown(risk) or (is_absent(risk) and not complete)
    name = _name(resource)
    monitors = [each for each in _monitors(resource, inspection) if each.names(resource, name) is not False]
    answers = [each.bias for each in monitors]
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


def _name(endpoint: Resource) -> Value:
    return at(endpoint.inputs, "name" if endpoint.type == _ENDPOINT else "endpointName")


def _monitors(endpoint: Resource, inspection: Inspection) -> Sequence[_Monitor]:
    """Return the monitors of the plan that watch an endpoint, and those that may."""
    found = _by_endpoint(inspection, endpoint.type == _ENDPOINT)
    return [*found.get(endpoint.urn, ()), *found.get("", ())]


@lru_cache(maxsize=2)
def _by_endpoint(inspection: Inspection, sagemaker: bool) -> Mapping[str, Sequence[_Monitor]]:
    """Return the monitors of SageMaker or of Azure ML by what they watch, as URNs; under "" those of others."""
    if sagemaker:
        monitors = [_schedule(each, inspection) for each in inspection.of(_SCHEDULE)]
        monitors += [found for each in inspection.of(_STARTER) for found in _pipelines(each, inspection)]
    else:
        schedules = inspection.of(f"{_AZURE}:Schedule")
        monitors = [_monitor(each, inspection) for each in schedules if not at(each.inputs, _DEFINITION).absent]
    found: dict[str, list[_Monitor]] = {}
    for monitor in monitors:
        others = [""] if monitor.unsure or monitor.elsewhere else []
        for urn in (*monitor.watched, *others):
            found.setdefault(urn, []).append(monitor)
    return found


def _schedule(schedule: Resource, inspection: Inspection) -> _Monitor:
    """Return a schedule of SageMaker, which names endpoints itself or through a job definition."""
    config = at(schedule.inputs, "monitoringScheduleConfig")
    [name] = every(config, "monitoringJobDefinitionName")
    [inline] = every(config, "monitoringJobDefinition.monitoringInputs.endpointInput.endpointName")
    definitions = [
        each for type_, path in _DEFINITIONS.items() for each in inspection.referred(schedule, name, path, type_)
    ]
    inputs = [f"{quality}JobInput.endpointInput.endpointName" for quality in _QUALITIES]
    references = [(schedule, inline), *((each, at(each.inputs, path)) for each in definitions for path in inputs)]
    found = [
        (reference, inspection.referred(holder, reference, "name", _ENDPOINT))
        for holder, reference in references
        if not reference.absent
    ]
    return _Monitor(
        watched=frozenset(endpoint.urn for _, endpoints in found for endpoint in endpoints),
        bias=_is_bias(schedule, "monitoringScheduleConfig.monitoringType"),
        unsure=(not name.absent and not definitions) or any(each.unknown and not ends for each, ends in found),
        elsewhere=any(not endpoints for _, endpoints in found),
    )


def _pipelines(schedule: Resource, inspection: Inspection) -> Iterator[_Monitor]:
    """Yield the pipelines that a schedule starts and that say by a tag which endpoint they watch."""
    for pipeline in inspection.sources(schedule, "target"):
        reference = at(pipeline.inputs, _WATCHES)
        if pipeline.type == _PIPELINE and not reference.absent:
            found = inspection.referred(pipeline, reference, "name", _ENDPOINT)
            yield _Monitor(
                watched=frozenset(endpoint.urn for endpoint in found),
                bias=False,
                unsure=reference.unknown and not found,
                elsewhere=not found,
            )


def _monitor(schedule: Resource, inspection: Inspection) -> _Monitor:
    """Return a schedule of Azure ML, which names an endpoint by the ID of one of its deployments, or refers to it."""
    target = at(schedule.inputs, f"{_DEFINITION}.monitoringTarget.deploymentId")
    named = re.search(r"onlineEndpoints/([^/]+)/|azureml:([^:/]+):", str(target.value), re.IGNORECASE)
    if named is not None:
        found = inspection.named(named[1] or named[2], "endpointName", _ONLINE_ENDPOINT)
    else:
        found = inspection.referred(schedule, target, "", _ONLINE_ENDPOINT)
        for deployment in inspection.referred(schedule, target, "", _ONLINE_DEPLOYMENT):
            name = at(deployment.inputs, "endpointName")
            found += inspection.referred(deployment, name, "endpointName", _ONLINE_ENDPOINT)
    return _Monitor(
        watched=frozenset(endpoint.urn for endpoint in found),
        bias=_is_bias(schedule, f"{_DEFINITION}.signals{{}}.signalType"),
        unsure=target.unknown and not found,
        elsewhere=named is not None and not found,
    )


def _is_bias(schedule: Resource, path: str) -> bool | None:
    kinds = every(schedule.inputs, path)
    if any(kind.value in _BIAS for kind in kinds):
        return True
    return None if any(kind.unknown for kind in kinds) else False

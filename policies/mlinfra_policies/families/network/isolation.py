"""NET-01 and NET-05 where one switch cuts a container off from networks, and NET-09, the way that its image comes."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_true
from mlinfra.resources import Resource
from mlinfra_policies.demands import demand, hidden, says, where

_MODEL = "aws:sagemaker/model:Model"
_DEFINITIONS = "aws:sagemaker/*JobDefinition:*JobDefinition"
_WORKSPACE = "azure-native:machinelearningservices:Workspace"
_APPROVED = says("AllowOnlyApprovedOutbound")


@decides("NET-01", _MODEL)
def isolation_of_a_model(model: Resource, inspection: Inspection) -> Iterator[Answer]:
    """SageMaker's switch is off unless somebody says otherwise."""
    yield from _isolated(at(model.inputs, "enableNetworkIsolation"))


@decides("NET-01", "azure-native:machinelearningservices:OnlineDeployment")
def egress_of_a_deployment(deployment: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A managed deployment may call out, unless its own switch or its workspace's network forbids it."""
    kind = at(deployment.inputs, "properties.endpointComputeType")
    elsewhere = says("Kubernetes", "AzureMLCompute")
    yield from where(kind, lambda value: not elsewhere(value), _egress(deployment, inspection))


@decides("NET-05", _DEFINITIONS)
def isolation_of_a_monitor(definition: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A job definition of SageMaker has the switch itself."""
    yield from _isolated(at(definition.inputs, "networkConfig.enableNetworkIsolation"))


@decides("NET-05", "aws:sagemaker/monitoringSchedule:MonitoringSchedule")
def isolation_of_a_scheduled_monitor(schedule: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A schedule holds its job definition or names one, whose word counts for the schedule as well."""
    name = at(schedule.inputs, "monitoringScheduleConfig.monitoringJobDefinitionName")
    if name.absent:
        inline = "monitoringScheduleConfig.monitoringJobDefinition.networkConfig.enableNetworkIsolation"
        yield from _isolated(at(schedule.inputs, inline))
        return
    definitions = inspection.referred(schedule, name, "name", _DEFINITIONS)
    if not definitions:
        yield unknown(name.path, "names a job definition that is not part of the plan")
    for definition in definitions:
        for answer in isolation_of_a_monitor(definition, inspection):
            yield Answer(
                answer.verdict, name.path, f"job definition {definition.name}: {answer.message}", answer.remedy
            )


@decides("NET-09", _MODEL)
def way_of_the_image(model: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each container with an image of its own says that it is pulled through the VPC."""
    for container in [at(model.inputs, "primaryContainer"), *every(model.inputs, "containers[]")]:
        [image] = every(container, "image")
        [mode] = every(container, "imageConfig.repositoryAccessMode")
        if not image.absent:
            message = f"is {mode.value or 'not stated'}: the image is pulled over the public path"
            yield from demand(mode, says("Vpc"), message, remedy="repositoryAccessMode: Vpc")


def _isolated(switch: Value) -> Iterator[Answer]:
    yield from demand(switch, is_true, "network isolation is off or not stated", remedy="enableNetworkIsolation: true")


def _egress(deployment: Resource, inspection: Inspection) -> Iterator[Answer]:
    switch = at(deployment.inputs, "properties.egressPublicNetworkAccess")
    if says("Disabled")(switch.value):
        return
    name = at(deployment.inputs, "workspaceName")
    found = inspection.referred(deployment, name, "workspaceName", _WORKSPACE)
    candidates = found or (inspection.of(_WORKSPACE) if name.unknown else [])
    modes = [at(each.inputs, "managedNetwork.isolationMode") for each in candidates]
    if found and all(_APPROVED(mode.value) for mode in modes):
        return
    if hidden(switch):
        yield unknown(switch.path)
    elif any(hidden(mode) or _APPROVED(mode.value) for mode in modes):
        yield unknown(switch.path, "outbound traffic is free, unless the workspace limits it, which is not known")
    elif not found and not inspection.complete:
        yield unknown(switch.path, "outbound traffic is free, unless the workspace, which is not shown, limits it")
    else:
        message = "outbound traffic is free, and no workspace of the plan limits it"
        yield violation(switch.path, message, remedy="egressPublicNetworkAccess: Disabled")

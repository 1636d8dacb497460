"""Whether models are described and approved by a person, and whether the platform keeps audit logs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_true, is_unknown
from mlinfra.resources import STACK_TYPE, Resource
from mlinfra_policies.azure import said_of_each
from mlinfra_policies.ml_types import GOOGLE

_AUDIT_CONFIGS = {
    "gcp:projects/iAMAuditConfig:IAMAuditConfig": "project",
    "gcp:organizations/iamAuditConfig:IamAuditConfig": "orgId",
    "gcp:folder/iamAuditConfig:IamAuditConfig": "folder",
}
"""The types of audit configurations, with the input that says what each is for."""
_SERVICES = ("aiplatform.googleapis.com", "allServices")
_DATA_ACCESS = ("DATA_READ", "DATA_WRITE")
_AZURE = "azure-native:machinelearningservices"
_WORKSPACE = f"{_AZURE}:Workspace"
_SETTINGS = ("azure-native:monitor:DiagnosticSetting", "azure-native:insights:DiagnosticSetting")


@decides("AUD-05", "aws:sagemaker/modelPackageGroup:ModelPackageGroup")
def model_groups_are_described(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _described(at(resource.inputs, "modelPackageGroupDescription"))


@decides("AUD-05", f"{_AZURE}:ModelContainer", f"{_AZURE}:RegistryModelContainer")
def model_containers_are_described(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _described(at(resource.inputs, "properties.description"))


def _described(description: Value) -> Iterator[Answer]:
    if description.hidden:
        yield unknown(description.path)
    elif description.absent or not str(description.value).strip():
        yield violation(description.path, "the models are not described")


@decides("AUD-06", *_AUDIT_CONFIGS)
def data_access_is_logged(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    service = at(resource.inputs, "service")
    if service.hidden:
        yield unknown(service.path)
    if service.value not in _SERVICES:
        return
    for members in every(resource.inputs, "auditLogConfigs[].exemptedMembers"):
        if members.hidden:
            yield unknown(members.path)
        elif members.value:
            yield violation(members.path, "some members are exempt from the logs")
    united = _united(inspection)[resource.type, _parent(resource)]
    kinds = [kind for each in united for kind in every(each.inputs, "auditLogConfigs[].logType")]
    missing = [name for name in _DATA_ACCESS if name not in [kind.value for kind in kinds]]
    if missing and any(kind.unknown for kind in kinds):
        yield unknown("auditLogConfigs", "which logs are on is known only after an up")
    elif missing:
        yield violation("auditLogConfigs", f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not logged")


@lru_cache(maxsize=1)
def _united(inspection: Inspection) -> Mapping[tuple[str, str], Sequence[Resource]]:
    """Return the configurations that hold together: those for all services and for one of the same project.

    Source: "AuditConfig" in the reference of Google's IAM policies, which unites the two.
    """
    found: dict[tuple[str, str], list[Resource]] = {}
    for each in inspection.of(*_AUDIT_CONFIGS):
        if at(each.inputs, "service").value in _SERVICES:
            found.setdefault((each.type, _parent(each)), []).append(each)
    return found


def _parent(config: Resource) -> str:
    return str(at(config.inputs, _AUDIT_CONFIGS[config.type]).value)


@decides("AUD-06", STACK_TYPE)
def the_plan_has_an_audit_configuration(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    services = [at(each.inputs, "service") for each in inspection.of(*_AUDIT_CONFIGS)]
    if any(service.unknown or service.value in _SERVICES for service in services):
        return
    if inspection.of(*GOOGLE):
        yield unknown("", "the plan has no audit configuration for aiplatform.googleapis.com or allServices")


@decides("AUD-06", _WORKSPACE)
def workspaces_have_a_diagnostic_setting(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    answers = _logged(inspection)[resource.urn]
    if True in answers:
        return
    if answers:
        yield unknown("workspaceName", "a diagnostic setting exists, and its target or its switch is not known")
    elif not inspection.complete:
        yield unknown("workspaceName", "a diagnostic setting may be among the resources that are not printed")
    else:
        yield violation("workspaceName", "no diagnostic setting with an enabled log is on this workspace")


@lru_cache(maxsize=1)
def _logged(inspection: Inspection) -> Mapping[str, set[bool]]:
    """Return, by URN, whether a diagnostic setting logs what happens in a workspace; False where that is not sure."""
    settings = [
        (setting, at(setting.inputs, "resourceUri"), every(setting.inputs, "logs[].enabled"))
        for setting in inspection.of(*_SETTINGS)
    ]
    on = [
        (setting, target, any(is_true(switch.value) for switch in switches))
        for setting, target, switches in settings
        if any(is_true(switch.value) or switch.unknown for switch in switches)
    ]
    return said_of_each(_WORKSPACE, on, inspection)


@decides("AUD-07", "aws:sagemaker/pipeline:Pipeline")
def pipelines_leave_the_approval_to_a_person(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    definition, elsewhere = (
        at(resource.inputs, "pipelineDefinition"),
        at(resource.inputs, "pipelineDefinitionS3Location"),
    )
    if definition.absent:
        if not elsewhere.absent:
            yield unknown(elsewhere.path, "the definition of the pipeline is not part of the plan")
        return
    try:
        read = json.loads(definition.value)
    except (TypeError, ValueError):
        yield unknown(definition.path, "is no JSON text that can be read before an up")
        return
    parameters = {
        f"Parameters.{each.value.get('Name')}": each.value.get("DefaultValue")
        for each in every(read, "Parameters[]")
        if isinstance(each.value, Mapping)
    }
    for step in _registering(read):
        status = at(step, "Arguments.ModelApprovalStatus").value
        if isinstance(status, Mapping):
            status = parameters.get(status.get("Get", ""))
        if is_unknown(status):
            yield unknown(definition.path, "with which approval models are registered is known only after an up")
        elif status == "Approved":
            yield violation(
                definition.path, f"the step {step.get('Name', 'RegisterModel')} registers models as Approved"
            )


def _registering(read: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the steps that register models, wherever they are nested."""
    if isinstance(read, Mapping):
        if read.get("Type") == "RegisterModel":
            yield read
        read = list(read.values())
    if isinstance(read, list):
        for each in read:
            yield from _registering(each)

"""COST-07: only types of machines that the environment allows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, every
from mlinfra.resources import Resource
from mlinfra_policies.pods import pods

_TUNED = tuple(
    f"trainingJobDefinition{many}.{path}"
    for many in ("", "s[]")
    for path in (
        "resourceConfig.instanceType",
        "resourceConfig.instanceGroups[].instanceType",
        "hyperParameterTuningResourceConfig.instanceType",
        "hyperParameterTuningResourceConfig.instanceConfigs[].instanceType",
    )
)
_TYPES: Mapping[str, Sequence[str]] = {
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": (
        "productionVariants[].instanceType",
        "shadowProductionVariants[].instanceType",
    ),
    "aws:sagemaker/trainingJob:TrainingJob": (
        "resourceConfig.instanceType",
        "resourceConfig.instanceGroups[].instanceType",
    ),
    "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob": _TUNED,
    "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": ("jobResources.clusterConfig.instanceType",),
    "aws:sagemaker/notebookInstance:NotebookInstance": ("instanceType",),
    "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool": ("dedicatedResources.machineSpec.machineType",),
    "gcp:vertex/aiPersistentResource:AiPersistentResource": ("resourcePools[].machineSpec.machineType",),
    "gcp:workbench/instance:Instance": ("gceSetup.machineType",),
    "gcp:colab/runtimeTemplate:RuntimeTemplate": ("machineSpec.machineType",),
    "azure-native:machinelearningservices:Compute": ("properties.properties.vmSize",),
    "azure-native:machinelearningservices:OnlineDeployment": ("properties.instanceType",),
}
"""By type: where types of machines stand."""

_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")


@decides("COST-07", *_TYPES)
def machine_is_allowed(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Every type of machine that a resource names is on the list."""
    token = re.sub(r"/v\d{8}\w*(?=:)", "", resource.type)
    found = [each for path in _TYPES[token] for each in every(resource.inputs, path)]
    yield from _allowed(found, resource, inspection)


@decides("COST-07", "kubernetes:*")
def selected_machine_is_allowed(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Every type of machine that a pod selects is on the list."""
    found = [pod.at(f"nodeSelector['{label}']") for pod in pods(resource) for label in _LABELS]
    yield from _allowed(found, resource, inspection)


def _allowed(found: Sequence[Value], resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    lists = inspection.settings.allowed_instance_types
    if lists is None:
        return
    production = inspection.production(resource)
    wanted = {True: [lists.prod], False: [lists.nonprod], None: [lists.prod, lists.nonprod]}[production]
    for each in found:
        on_list = [_matches(str(each.value), patterns) for patterns in wanted if patterns]
        if each.hidden:
            yield unknown(each.path)
        elif not each.absent and on_list and not any(on_list):
            shown = ", ".join(dict.fromkeys(pattern for patterns in wanted for pattern in patterns))
            yield violation(each.path, f"is {each.value}; allowed are {shown}")
        elif not each.absent and not all(on_list):
            yield unknown(each.path, f"is {each.value}, and whether it belongs to production is not known yet")


def _matches(machine: str, patterns: Sequence[str]) -> bool:
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), machine, re.IGNORECASE) is not None
        for pattern in patterns
    )

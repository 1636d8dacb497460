"""Capacity that does nothing: COST-01 training clusters, COST-02 notebooks, COST-03 endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_true, number
from mlinfra.resources import UNKNOWN, Resource
from mlinfra_policies.families.cost.amounts import (
    above,
    compute_is,
    minutes,
    outside_production,
    seconds,
)
from mlinfra_policies.families.cost.endpoints import endpoints_of, targets_of_variant
from mlinfra_policies.pods import pods

_DOMAIN = "aws:sagemaker/domain:Domain"
_LIFECYCLE = "aws:sagemaker/notebookInstanceLifecycleConfiguration:NotebookInstanceLifecycleConfiguration"
_IDLE = "jupyterLabAppSettings.appLifecycleManagement.idleSettings"
_SCALE = "properties.properties.scaleSettings"


@decides("COST-01", "aws:sagemaker/trainingJob:TrainingJob")
def warm_pool(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A warm pool is kept no longer than the limit."""
    limit = inspection.settings.warm_pool_seconds_max
    yield from above(at(resource.inputs, "resourceConfig.keepAlivePeriodInSeconds"), limit, f"{limit:g} seconds")


@decides("COST-01", "gcp:vertex/aiPersistentResource:AiPersistentResource")
def persistent_pools_on_vertex(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each pool scales, and down to zero; the provider's own lower bound is one."""
    for pool in every(resource.inputs, "resourcePools[]"):
        scaling = at(pool, "autoscalingSpec")
        if scaling.absent:
            yield from _above_zero(at(pool, "replicaCount"), "replicas are fixed")
        else:
            yield from _above_zero(at(pool, "autoscalingSpec.minReplicaCount"), "is the lower bound")


@decides("COST-01", "azure-native:machinelearningservices:Compute")
def cluster_on_azureml(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A cluster keeps no node, and idle nodes not for long; the provider's defaults are 0 nodes and 2 minutes."""
    cluster = compute_is(resource, "AmlCompute")
    if cluster is None:
        yield unknown("properties.computeType")
    elif cluster:
        yield from above(at(resource.inputs, f"{_SCALE}.minNodeCount"), 0)
        idle = at(resource.inputs, f"{_SCALE}.nodeIdleTimeBeforeScaleDown")
        yield from above(idle, _idle_limit(inspection), _idle_shown(inspection), read=seconds)


@decides("COST-02", _DOMAIN)
def domain(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A domain's notebooks shut down; it has to be switched on, and needs a time-out."""
    yield from _shutdown(Value("", resource.inputs), inspection)


@decides("COST-02", "aws:sagemaker/space:Space")
def space(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A space has a time-out of its own, or that of its domain in this stack."""
    editor = at(resource.inputs, "spaceSettings.appType").value == "CodeEditor"
    found = at(
        resource.inputs,
        f"spaceSettings.{_IDLE.replace('jupyterLab', 'codeEditor') if editor else _IDLE}.idleTimeoutInMinutes",
    )
    domains = [each for each in inspection.sources(resource, "domainId") if each.type == _DOMAIN]
    inherits = domains and not any(list(_shutdown(Value("", each.inputs), inspection)) for each in domains)
    if not (found.absent and inherits):
        yield from _time_out(found, inspection, minutes)


@decides("COST-02", "aws:sagemaker/notebookInstance:NotebookInstance")
def notebook_instance(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A notebook instance has no time-out of its own; a life-cycle configuration may stop it."""
    found = at(resource.inputs, "lifecycleConfigName")
    if found.absent:
        yield violation(found.path, "no life-cycle configuration stops this notebook when nobody uses it")
    elif found.unknown and not inspection.comes_only_from(resource, found.path, _LIFECYCLE):
        yield unknown(found.path)


@decides("COST-02", "gcp:colab/runtimeTemplate:RuntimeTemplate")
def colab(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Runtimes of a template shut down when idle."""
    yield from _time_out(at(resource.inputs, "idleShutdownConfig.idleTimeout"), inspection, seconds)


@decides("COST-02", "gcp:workbench/instance:Instance")
def workbench(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An instance of Workbench shuts down when idle."""
    yield from _time_out(at(resource.inputs, "gceSetup.metadata['idle-timeout-seconds']"), inspection, seconds)


@decides("COST-02", "azure-native:machinelearningservices:Compute")
def compute_instance(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A compute instance shuts down when idle; there is no default."""
    notebook = compute_is(resource, "ComputeInstance")
    if notebook is None:
        yield unknown("properties.computeType")
    elif notebook:
        yield from _time_out(at(resource.inputs, "properties.properties.idleTimeBeforeShutdown"), inspection, seconds)


@decides("COST-02", "kubernetes:apps/v1:Deployment")
def notebook_controller(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The controller of notebooks culls idle ones: it is told to, and after a time below its default of a day."""
    names = [at(resource.inputs, "metadata.name").value]
    containers = [container for pod in pods(resource) for container in pod.containers()]
    names += [container.at(name).value for container in containers for name in ("image", "name")]
    if not any("notebook-controller" in str(name) for name in names):
        return
    culling = _variable("ENABLE_CULLING", resource, inspection)
    if culling.hidden:
        yield unknown(culling.path, "whether idle notebooks are culled is not known")
    elif not is_true(culling.value):
        yield violation(culling.path, "idle notebooks are not culled", remedy="ENABLE_CULLING=true")
    else:
        time = _variable("CULL_IDLE_TIME", resource, inspection)
        given = Value(time.path, 1440) if time.absent else time
        yield from _time_out(given, inspection, minutes)


@decides("COST-03", "aws:sagemaker/endpointConfiguration:EndpointConfiguration")
def variants_scale_to_zero(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each variant outside production can cost nothing while nobody asks."""
    found = [
        answer
        for variant in every(resource.inputs, "productionVariants[]")
        for answer in _variant_scales(variant, resource, inspection)
    ]
    yield from outside_production(resource, inspection, found)


@decides("COST-03", "aws:appautoscaling/target:Target")
def target_scales_to_zero(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The autoscaling of an endpoint goes down to zero outside production."""
    service = at(resource.inputs, "serviceNamespace")
    if service.absent or service.unknown or service.value == "sagemaker":
        answers = above(at(resource.inputs, "minCapacity"), 0)
        yield from outside_production(resource, inspection, answers)


@decides("COST-03", "kubernetes:serving.kserve.io/v1beta1:InferenceService")
def service_scales_to_zero(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A service outside production has no replica while nobody asks; KServe's default is one."""
    answers = _above_zero(at(resource.inputs, "spec.predictor.minReplicas"), "is the lower bound")
    yield from outside_production(resource, inspection, answers)


def _variant_scales(variant: Value, config: Resource, inspection: Inspection) -> Iterator[Answer]:
    serverless = at(variant, "serverlessConfig")
    if not serverless.absent:
        yield from above(at(variant, "serverlessConfig.provisionedConcurrency"), 0)
        return
    scaling = at(variant, "managedInstanceScaling")
    off = str(at(variant, "managedInstanceScaling.status").value).upper() == "DISABLED"
    if not (scaling.absent or off):
        yield from _above_zero(at(variant, "managedInstanceScaling.minInstanceCount"), "is the lower bound")
    elif at(config.inputs, "asyncInferenceConfig").absent:
        yield violation(variant.path, "keeps at least one instance; its lower bound cannot be 0")
    else:
        yield from _asynchronous(variant, config, inspection)


def _asynchronous(variant: Value, config: Resource, inspection: Inspection) -> Iterator[Answer]:
    asynchronous = at(config.inputs, "asyncInferenceConfig")
    endpoints = endpoints_of(config, inspection)
    targets = targets_of_variant(variant, endpoints, inspection)
    bounds = [number(at(target.inputs, "minCapacity").value) for target in targets]
    if asynchronous.hidden or None in bounds:
        yield unknown(variant.path, "its lower bound is not known")
    elif any(bounds):
        yield violation(variant.path, f"autoscaling keeps {max(filter(None, bounds)):g}; 0 is wanted")
    elif not targets and inspection.complete:
        yield violation(variant.path, "no autoscaling target with the minimum 0 is in the stack")
    elif not targets:
        yield unknown(variant.path, "an autoscaling target may be among the resources that are not shown")


def _above_zero(bound: Value, what: str) -> Iterator[Answer]:
    """Yield where a lower bound is above 0, as it is where nothing is said."""
    if bound.absent:
        yield violation(bound.path, f"{what}, 1 where nothing is said; 0 is wanted")
    for answer in above(bound, 0):
        yield answer if bound.hidden else violation(bound.path, f"{bound.value} {what}; 0 is wanted")


def _shutdown(resource: Value, inspection: Inspection) -> Iterator[Answer]:
    idle = f"defaultUserSettings.{_IDLE}"
    switch = at(resource, f"{idle}.lifecycleManagement")
    if not switch.hidden and str(switch.value).upper() != "ENABLED":
        yield violation(switch.path, "idle notebooks are not shut down", remedy='lifecycleManagement="ENABLED"')
        return
    if switch.hidden:
        yield unknown(switch.path)
    yield from _time_out(at(resource, f"{idle}.idleTimeoutInMinutes"), inspection, minutes)


def _time_out(found: Value, inspection: Inspection, read: Callable[[Any], float | None]) -> Iterator[Answer]:
    if found.absent:
        yield violation(found.path, f"no idle time-out is set; at most {_idle_shown(inspection)} is wanted")
    elif read(found.value) == 0:
        yield violation(found.path, f"is {found.value}, which switches the idle shutdown off")
    else:
        yield from above(found, _idle_limit(inspection), _idle_shown(inspection), read=read)


def _idle_limit(inspection: Inspection) -> float:
    return inspection.settings.idle_minutes_max * 60


def _idle_shown(inspection: Inspection) -> str:
    return f"{inspection.settings.idle_minutes_max:g} minutes"


def _variable(name: str, resource: Resource, inspection: Inspection) -> Value:
    """Return an environment variable of a pod; what a ConfigMap of this stack says, where it comes from there."""
    for container in (container for pod in pods(resource) for container in pod.containers()):
        for variable in container.every("env[]"):
            if variable.unknown or at(variable, "name").value == name:
                return _resolved(variable, inspection)
        if not container.at("envFrom").absent:
            return Value(container.at("envFrom").path, UNKNOWN)
    return Value("spec.template.spec.containers", None)


def _resolved(variable: Value, inspection: Inspection) -> Value:
    if at(variable, "valueFrom").absent:
        return at(variable, "value")
    source = at(variable, "valueFrom.configMapKeyRef")
    maps = inspection.named(at(source, "name").value, "metadata.name", "kubernetes:core/v1:ConfigMap")
    data = at(maps[0].inputs, "data").value if maps else None
    held = data.get(str(at(source, "key").value), UNKNOWN) if isinstance(data, Mapping) else UNKNOWN
    return Value(variable.path, held)

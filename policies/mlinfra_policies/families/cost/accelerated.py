"""COST-08: no job, endpoint or pool, and no stack, takes more accelerators than somebody meant it to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlinfra.policy.inspection import Inspection, matches
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_true, number
from mlinfra.resources import STACK_TYPE, Resource
from mlinfra_policies.accelerators import carried, is_accelerator
from mlinfra_policies.families.cost.amounts import is_known
from mlinfra_policies.families.cost.endpoints import CONFIGURATION, ENDPOINT, endpoints_of, targets_of_variant
from mlinfra_policies.families.cost.training import TRAIN_JOB, TUNING, definitions, runtimes
from mlinfra_policies.pods import Container, Pod, pods

_UNBOUNDED = float("inf")


@dataclass(frozen=True)
class Count:
    """How many accelerators something can use at least, where that is said, and why nobody can say it exactly."""

    least: float
    path: str
    open: Answer | None = None

    def times(self, number_: Value, default: float = 1) -> Count:
        """Return as many for each of a number of machines or replicas; `default` holds where no number is said."""
        if self.least == 0 and self.open is None:
            return self
        amount = default if number_.absent else number(number_.value)
        if amount is None:
            return Count(self.least, self.path, unknown(number_.path))
        if amount == 0:
            return Count(0, number_.path)
        return Count(self.least * amount, self.path, self.open)


Counter = Callable[[Resource, Inspection], Iterator[Count]]


def machine(found: Value) -> Count:
    """Return what a machine of the type at a place carries; a type that is not said carries nothing."""
    carries = 0.0 if found.absent else carried(str(found.value)) if is_known(found) else None
    if carries is None:
        named = f"a {found.value}" if is_known(found) else "this machine"
        return Count(0, found.path, unknown(found.path, f"how many accelerators {named} carries is not known"))
    return Count(carries, found.path)


def on_vertex(spec: Value) -> Count:
    """Return what a machine of Vertex AI carries: by its type, or attached to it."""
    own, kind, attached = machine(at(spec, "machineType")), at(spec, "acceleratorType"), at(spec, "acceleratorCount")
    if kind.absent and attached.absent:
        return own
    amount = 1.0 if attached.absent else number(attached.value)
    if amount is None:
        return Count(own.least, attached.path, unknown(attached.path))
    return Count(max(amount, own.least), attached.path)


def _training(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    yield from _machines(at(resource.inputs, "resourceConfig"))


def _tuning(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    """Count the largest of its training jobs, as often as jobs may run at a time."""
    parallel = at(resource.inputs, "config.resourceLimits.maxParallelTrainingJobs")
    jobs = []
    for definition in definitions(resource):
        flexible = at(definition, "hyperParameterTuningResourceConfig")
        own = total([*_machines(at(definition, "resourceConfig")), *_machines(flexible)])
        choices = [total(list(_machines(each))) for each in every(flexible, "instanceConfigs[]")]
        jobs.append(largest([own, *choices]))
    if jobs:
        yield largest(jobs).times(parallel)


def _machines(config: Value) -> Iterator[Count]:
    yield machine(at(config, "instanceType")).times(at(config, "instanceCount"))
    for group in every(config, "instanceGroups[]"):
        yield machine(at(group, "instanceType")).times(at(group, "instanceCount"))


def _configuration(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    """Count each variant with as many instances as autoscaling may give it."""
    endpoints = endpoints_of(resource, inspection)
    for name in ("productionVariants", "shadowProductionVariants"):
        for variant in every(resource.inputs, f"{name}[]"):
            one = total([machine(at(variant, "instanceType")), machine(at(variant, "acceleratorType"))])
            targets = targets_of_variant(variant, endpoints, inspection)
            numbers = [
                at(variant, "initialInstanceCount"),
                at(variant, "managedInstanceScaling.maxInstanceCount"),
                *(at(target.inputs, "maxCapacity") for target in targets),
            ]
            said = [each for each in numbers if not each.absent] or numbers
            yield largest([one.times(each) for each in said])


def _resource_pool(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    place = at(resource.inputs, "dedicatedResources")
    most, least = at(place, "maxReplicaCount"), at(place, "minReplicaCount")
    yield on_vertex(at(place, "machineSpec")).times(least if most.absent else most)


def _persistent_resource(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    for pool in every(resource.inputs, "resourcePools[]"):
        most = at(pool, "autoscalingSpec.maxReplicaCount")
        yield on_vertex(at(pool, "machineSpec")).times(at(pool, "replicaCount") if most.absent else most)


def _compute(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    """Count a cluster with as many nodes as it may have, and an instance, which has no such number, once."""
    place = at(resource.inputs, "properties.properties")
    yield machine(at(place, "vmSize")).times(at(place, "scaleSettings.maxNodeCount"))


def _deployment(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    one = machine(at(resource.inputs, "properties.instanceType"))
    counts = [at(resource.inputs, "sku.capacity"), at(resource.inputs, "properties.scaleSettings.maxInstances")]
    for setting in inspection.of("azure-native:monitor:AutoscaleSetting", "azure-native:insights:AutoscaleSetting"):
        if resource.urn in (setting.property_dependencies.get("targetResourceUri") or ()):
            counts += every(setting.inputs, "profiles[].capacity.maximum")
    said = [each for each in counts if not each.absent]
    yield largest([one.times(each) for each in said] or [one])


def _service(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    """Count each component as often as it may be scaled: any number of times where nothing or 0 is said."""
    mode = at(resource.inputs, "metadata.annotations['serving.kserve.io/deploymentMode']").value
    for pod in pods(resource):
        component = _around(resource, pod.path.removesuffix(".workerSpec"))
        most, least = at(component, "maxReplicas"), at(component, "minReplicas")
        if most.absent or number(most.value) == 0:
            raw = mode in ("RawDeployment", "Standard")
            yield in_pod(pod).times(least if raw else Value(most.path, _UNBOUNDED))
        else:
            yield in_pod(pod).times(most)


def _train_job(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    """Count each node; what the job leaves out comes from its training runtime, where the stack has it."""
    nodes = at(resource.inputs, "spec.trainer.numNodes")
    known = runtimes(resource, inspection)
    policies = [at(runtime.inputs, "spec.mlPolicy.numNodes") for runtime in known]
    described = known if known and at(resource.inputs, "spec.trainer.resourcesPerNode").absent else [resource]
    node = total([in_pod(pod) for each in described for pod in pods(each)])
    yield node.times(policies[0] if nodes.absent and policies else nodes)


def _experiment(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    """Count a trial as often as trials may run at a time; Katib's default is three."""
    nodes = at(resource.inputs, "spec.trialTemplate.trialSpec.spec.trainer.numNodes")
    trial = total(list(_workload(resource, inspection)))
    yield trial.times(nodes).times(at(resource.inputs, "spec.parallelTrialCount"), 3)


def _spark(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    """Count the driver and the executors; Spark's own upper bound of executors is none."""
    spec = at(resource.inputs, "spec" if resource.type.endswith(":SparkApplication") else "spec.template")
    yield _quantity(at(spec, "driver.gpu.quantity"))
    if is_true(at(spec, "dynamicAllocation.enabled").value):
        yield _quantity(at(spec, "executor.gpu.quantity")).times(at(spec, "dynamicAllocation.maxExecutors"), _UNBOUNDED)
    else:
        yield _quantity(at(spec, "executor.gpu.quantity")).times(at(spec, "executor.instances"))


def _workload(resource: Resource, inspection: Inspection) -> Iterator[Count]:
    """Count each pod as often as what stands around its template says: `replicas` or `parallelism`."""
    for pod in pods(resource):
        count = in_pod(pod)
        for template in re.finditer(r"\.template(?=(\.spec|\.template)*$)", pod.path):
            for name in ("replicas", "parallelism"):
                found = at(_around(resource, pod.path[: template.start()]), name)
                count = count if isinstance(found.value, Mapping) else count.times(found)
        yield count


def in_pod(pod: Pod) -> Count:
    """Return what the containers of a pod ask for; those that run before the others share with them."""
    containers = [(each.kind == "init", _in_container(each)) for each in pod.containers()]
    first, together = ([count for init, count in containers if init is which] for which in (True, False))
    return largest([total(together), *first])


def _in_container(container: Container) -> Count:
    found = [Count(0, container.path)]
    for name in ("limits", "requests"):
        asked = container.at(f"resources.{name}")
        if asked.unknown:
            found.append(Count(0, asked.path, unknown(asked.path)))
        elif isinstance(asked.value, Mapping):
            kinds = [at(asked, f"['{key}']") for key in asked.value if is_accelerator(str(key))]
            found.append(total([_quantity(kind) for kind in kinds]))
    return largest(found)


def _quantity(found: Value) -> Count:
    amount = 0.0 if found.absent else number(found.value)
    return Count(0, found.path, unknown(found.path)) if amount is None else Count(amount, found.path)


def _around(resource: Resource, path: str) -> Value:
    """Return what stands at the path of a value that was found before, with the numbers of items in it."""
    found = every(resource.inputs, re.sub(r"\[\d+\]", "[]", path))
    return next((each for each in found if each.path == path), Value(path, None))


_COUNTERS: Mapping[str, Counter] = {
    "aws:sagemaker/trainingJob:TrainingJob": _training,
    TUNING: _tuning,
    CONFIGURATION: _configuration,
    "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool": _resource_pool,
    "gcp:vertex/aiPersistentResource:AiPersistentResource": _persistent_resource,
    "azure-native:machinelearningservices:Compute": _compute,
    "azure-native:machinelearningservices:OnlineDeployment": _deployment,
    "kubernetes:serving.kserve.io/v1beta1:InferenceService": _service,
    TRAIN_JOB: _train_job,
    "kubernetes:kubeflow.org/v1beta1:Experiment": _experiment,
    "kubernetes:sparkoperator.k8s.io/v1beta2:SparkApplication": _spark,
    "kubernetes:sparkoperator.k8s.io/v1beta2:ScheduledSparkApplication": _spark,
    **dict.fromkeys(
        (
            "kubernetes:core/v1:Pod",
            "kubernetes:apps/v1:Deployment",
            "kubernetes:apps/v1:StatefulSet",
            "kubernetes:batch/v1:Job",
            "kubernetes:batch/v1:CronJob",
            "kubernetes:kubeflow.org/v1:Notebook",
            "kubernetes:serving.kserve.io/v1alpha1:LLMInferenceService",
        ),
        _workload,
    ),
}
"""By type: what counts the accelerators that a resource can use at the same time."""


@decides("COST-08", *_COUNTERS)
def one_is_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """One job, endpoint or pool stays within its bound."""
    limit = inspection.settings.max_accelerators.per_job
    count = used_by(resource, inspection)
    if count.least > limit:
        yield violation(count.path, f"can use {_shown(count.least)} accelerators; at most {limit} are wanted")
    elif count.open:
        yield count.open


@decides("COST-08", STACK_TYPE)
def stack_is_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """All that the stack can use at the same time stays within its bound. What is not known, each resource says."""
    limit = inspection.settings.max_accelerators.per_stack
    counts = [used_by(each, inspection) for each in inspection.of(*_COUNTERS) if _may_run(each, inspection)]
    least = sum(count.least for count in counts)
    if least > limit:
        yield violation("", f"the stack can use {_shown(least)} accelerators; at most {limit} are wanted")


def used_by(resource: Resource, inspection: Inspection) -> Count:
    """Return how many accelerators a resource can use at the same time."""
    counter = next(counter for token, counter in _COUNTERS.items() if matches(resource.type, token))
    return total(list(counter(resource, inspection)))


def total(counts: Sequence[Count]) -> Count:
    """Return the sum, with the path of the largest."""
    if not counts:
        return Count(0, "")
    most = largest(counts)
    return Count(sum(count.least for count in counts), most.path, most.open)


def largest(counts: Sequence[Count]) -> Count:
    """Return the largest, which is open where any of them is."""
    most = max(counts, key=lambda count: count.least)
    return Count(most.least, most.path, next((count.open for count in counts if count.open), None))


def _may_run(resource: Resource, inspection: Inspection) -> bool:
    """Whether something runs by it: a configuration that no endpoint uses, while the stack has endpoints, does not."""
    return resource.type != CONFIGURATION or not inspection.of(ENDPOINT) or bool(endpoints_of(resource, inspection))


def _shown(amount: float) -> str:
    return "any number of" if amount == _UNBOUNDED else f"{amount:g}"

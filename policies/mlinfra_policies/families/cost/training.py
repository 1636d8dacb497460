"""Jobs that end, on capacity that costs less: COST-05 spot with checkpoints, COST-06 a maximum run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlinfra.policy.inspection import Inspection, matches
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_true, number
from mlinfra.resources import Resource
from mlinfra_policies.families.cost.amounts import above, compute_is, outside_production, seconds
from mlinfra_policies.pods import Pod, pods

TUNING = "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob"
TRAIN_JOB = "kubernetes:trainer.kubeflow.org/v1alpha1:TrainJob"
_RUNTIMES = tuple(f"kubernetes:trainer.kubeflow.org/v1alpha1:{kind}TrainingRuntime" for kind in ("", "Cluster"))
_LONGEST_RUN = 86400
"""Seconds that a training job may run where nothing is said (API reference, StoppingCondition)."""
_SPOT = {
    "karpenter.sh/capacity-type": "spot",
    "cloud.google.com/gke-spot": "true",
    "eks.amazonaws.com/capacityType": "SPOT",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
"""The labels of spot nodes, which are the keys of their taints, too."""

_BOUNDS: Mapping[str, tuple[str, ...]] = {
    "aws:sagemaker/trainingJob:TrainingJob": ("stoppingCondition.maxRuntimeInSeconds",),
    "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition": ("stoppingCondition.maxRuntimeInSeconds",),
    "gcp:colab/notebookExecution:NotebookExecution": ("executionTimeout",),
    "google-native:aiplatform/*:CustomJob": ("jobSpec.scheduling.timeout",),
    "azure-native:machinelearningservices:Job": (
        "properties.limits.timeout",
        "properties.taskDetails.limitSettings.timeout",
    ),
    TRAIN_JOB: ("spec.activeDeadlineSeconds",),
    "kubernetes:batch/v1:Job": ("spec.activeDeadlineSeconds",),
    "kubernetes:batch/v1:CronJob": ("spec.jobTemplate.spec.activeDeadlineSeconds",),
    "kubernetes:kubeflow.org/v1beta1:Experiment": (
        "spec.trialTemplate.trialSpec.spec.activeDeadlineSeconds",
        "spec.trialTemplate.trialSpec.spec.runPolicy.activeDeadlineSeconds",
    ),
}
"""By type: where the maximum run time stands; the first place that says something counts."""


@decides("COST-05", "aws:sagemaker/trainingJob:TrainingJob")
def training_on_spot(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A training job uses spot capacity, in a way that survives an interruption."""
    yield from _on_spot(Value("", resource.inputs), resource, inspection)


@decides("COST-05", TUNING)
def tuning_on_spot(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """So does each training job of a tuning job."""
    for definition in definitions(resource):
        yield from _on_spot(definition, resource, inspection)


@decides("COST-05", "azure-native:machinelearningservices:Compute")
def cluster_on_spot(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A cluster outside production has low priority; the provider's default is dedicated."""
    found = at(resource.inputs, "properties.properties.vmPriority")
    cluster = compute_is(resource, "AmlCompute")
    answers: list[Answer] = []
    if cluster is not False and str(found.value).lower() != "lowpriority":
        known = cluster and not found.unknown
        message = f"is {found.value or 'Dedicated'}; LowPriority is wanted outside production"
        answers = [violation(found.path, message) if known else unknown(found.path)]
    yield from outside_production(resource, inspection, answers)


@decides("COST-05", TRAIN_JOB, "kubernetes:batch/v1:Job")
def job_on_spot(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A job outside production selects or tolerates spot nodes, itself or by its training runtime."""
    described = [*pods(resource), *(pod for runtime in runtimes(resource, inspection) for pod in pods(runtime))]
    found = [_wants_spot(pod) for pod in described]
    answers: list[Answer] = []
    if True not in found:
        path = "spec.runtimePatches" if resource.type == TRAIN_JOB else "spec.template.spec.tolerations"
        answers = [unknown(path) if None in found else violation(path, "neither selects nor tolerates spot nodes")]
    yield from outside_production(resource, inspection, answers)


@decides("COST-06", *_BOUNDS)
def job_ends(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A job has an explicit maximum run time within the limit."""
    paths = next(paths for token, paths in _BOUNDS.items() if matches(resource.type, token))
    yield from _bounded([at(resource.inputs, path) for path in paths], inspection)


@decides("COST-06", TUNING)
def tuning_ends(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each training job of a tuning job has a maximum run time."""
    for definition in definitions(resource):
        yield from _bounded([at(definition, "stoppingCondition.maxRuntimeInSeconds")], inspection)


def definitions(tuning: Resource) -> list[Value]:
    """Return the training jobs that a tuning job defines: in `trainingJobDefinition`, or several in a list."""
    single = at(tuning.inputs, "trainingJobDefinition")
    return [*([] if single.absent else [single]), *every(tuning.inputs, "trainingJobDefinitions[]")]


def _on_spot(job: Value, resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    spot = at(job, "enableManagedSpotTraining")
    if spot.unknown:
        survives = not list(_survives(job))
        if not (survives and inspection.production(resource)):
            yield unknown(spot.path)
    elif is_true(spot.value):
        yield from _survives(job)
    else:
        answers = [violation(spot.path, "spot capacity is not used; it is wanted outside production")]
        yield from outside_production(resource, inspection, answers)


def _survives(job: Value) -> Iterator[Answer]:
    checkpoints = at(job, "checkpointConfig")
    if checkpoints.unknown:
        yield unknown(checkpoints.path)
    elif not checkpoints.value:
        yield violation(checkpoints.path, "spot capacity is used, and an interruption loses the work: no checkpoints")
    wait = at(job, "stoppingCondition.maxWaitTimeInSeconds")
    run = at(job, "stoppingCondition.maxRuntimeInSeconds")
    longest = _LONGEST_RUN if run.absent else number(run.value)
    most = number(wait.value)
    if wait.absent:
        yield violation(wait.path, "spot capacity is used, and nothing says how long to wait for it")
    elif most is None or longest is None:
        yield unknown(wait.path if most is None else run.path)
    elif most < longest:
        yield violation(wait.path, f"is {most:g}, less than the maximum run time of {longest:g} seconds")


def _bounded(found: list[Value], inspection: Inspection) -> Iterator[Answer]:
    bound = next((each for each in found if not each.absent), found[0])
    hours = inspection.settings.max_run_hours
    if bound.absent:
        yield violation(bound.path, f"no maximum run time is set; at most {hours:g} hours are wanted")
    yield from above(bound, hours * 3600, f"{hours:g} hours", read=seconds)


def runtimes(job: Resource, inspection: Inspection) -> list[Resource]:
    if job.type != TRAIN_JOB:
        return []
    kind = at(job.inputs, "spec.runtimeRef.kind").value or "ClusterTrainingRuntime"
    name = at(job.inputs, "spec.runtimeRef.name").value
    return [each for each in inspection.named(name, "metadata.name", *_RUNTIMES) if each.type.endswith(f":{kind}")]


def _wants_spot(pod: Pod) -> bool | None:
    """Whether a pod selects or tolerates spot nodes; None where it is not known."""
    selector = pod.at("nodeSelector")
    terms = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]"
    asked = [
        *(({"key": key, "values": [value]}) for key, value in _mapping(selector.value).items()),
        *(term.value for term in pod.every(f"{terms}.matchExpressions[]")),
        *(each.value for each in pod.every("tolerations[]")),
    ]
    answers = [_means_spot(each) for each in asked]
    if True in answers:
        return True
    return None if None in answers or selector.hidden else False


def _means_spot(asked: object) -> bool | None:
    """Whether a label, an expression of an affinity or a toleration means spot nodes."""
    key, operator, value, values = (at(asked, name) for name in ("key", "operator", "value", "values"))
    if key.unknown:
        return None
    if key.absent:
        return bool(operator.value == "Exists")
    if str(key.value) not in _SPOT or operator.value == "NotIn":
        return False
    given = values.value if isinstance(values.value, list) else [value.value]
    if values.unknown or any(Value("", each).hidden for each in given):
        return None
    return operator.value == "Exists" or any(str(each).lower() == _SPOT[str(key.value)].lower() for each in given)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}

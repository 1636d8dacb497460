"""Jobs: a run when the job is created, and the runs a month that are stated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from mlinfra.policy.values import Value, at, every
from mlinfra.prices.context import Context
from mlinfra.prices.registry import AmountNotKnown, Answer, NotKnown, amount, exactly, known, priced
from mlinfra.prices.types.kubernetes_pods import priced_pods
from mlinfra.resources import Resource

_PATCHED = "trainingRuntimeSpec.template.spec.replicatedJobs[].template.spec.template.spec"


@priced("kubernetes:batch/v1:Job")
def job(resource: Resource, context: Context) -> Iterator[Answer]:
    """Pods side by side for as long as a run takes."""
    spec = at(resource.inputs, "spec")
    yield from _runs(resource, at(spec, "template.spec"), _side_by_side(spec), spec, context, once=True)


@priced("kubernetes:batch/v1:CronJob")
def cron_job(resource: Resource, context: Context) -> Iterator[Answer]:
    """The same, as often a month as is stated."""
    spec = at(resource.inputs, "spec.jobTemplate.spec")
    yield from _runs(resource, at(spec, "template.spec"), _side_by_side(spec), spec, context, once=False)


@priced("kubernetes:trainer.kubeflow.org/v1alpha1:TrainJob")
def train_job(resource: Resource, context: Context) -> Iterator[Answer]:
    """Its nodes: on the type that a patch of the runtime selects, else with what each of them requests."""
    spec = at(resource.inputs, "spec")
    pod, nodes, others = _nodes(spec)
    yield from _runs(resource, pod, nodes, spec, context, once=True, others=others)


@priced("kubernetes:kubeflow.org/v1beta1:Experiment")
def experiment(resource: Resource, context: Context) -> Iterator[Answer]:
    """As many trials side by side as may be (Katib's default is three), for as long as all of them take together."""
    spec = at(resource.inputs, "spec")
    trial = at(spec, "trialTemplate.trialSpec")
    kind, inner = known(at(trial, "kind")), at(trial, "spec")
    if kind == "Job":
        pod, pods, others = at(inner, "template.spec"), _side_by_side(inner), list[Value]()
    elif kind == "TrainJob":
        pod, pods, others = _nodes(inner)
    else:
        raise NotKnown(f"{trial.path}.kind is {kind!r}: what a trial of this kind runs on is not known here")
    pods *= amount(at(spec, "parallelTrialCount"), 3)
    yield from _runs(resource, pod, pods, spec, context, once=True, others=others)


def _nodes(spec: Value) -> tuple[Value, Decimal, list[Value]]:
    """Return the pod of a TrainJob's nodes, how many there are, and their container."""
    patches = [*every(spec, f"runtimePatches[].{_PATCHED}"), *every(spec, "podTemplateOverrides[].spec")]
    selecting = [patch for patch in patches if not at(patch, "nodeSelector").absent]
    trainer = at(spec, "trainer")
    container = Value(trainer.path, {"resources": at(trainer, "resourcesPerNode").value})
    pod = selecting[0] if selecting else Value("spec.runtimePatches", {})
    return pod, amount(at(trainer, "numNodes")), [container]


def _side_by_side(spec: Value) -> Decimal:
    parallel = amount(at(spec, "parallelism"), 1)
    return min(parallel, amount(at(spec, "completions"), parallel))


def _runs(
    resource: Resource,
    pod: Value,
    pods: Decimal,
    spec: Value,
    context: Context,
    *,
    once: bool,
    others: Sequence[Value] = (),
) -> Iterator[Answer]:
    hours, assumed = _run_hours(resource, spec, context)
    runs = context.stated(resource, "runs")
    if once:
        yield from priced_pods(pod, exactly(pods), assumed=assumed, hours=hours, one_off=True, others=others)
    elif runs is None:
        raise AmountNotKnown(f"nothing says how often it runs; state {context.where_stated(resource, 'runs')}")
    if runs is not None:
        label = f"{runs} runs a month"
        yield from priced_pods(pod, exactly(pods), label, assumed=assumed, hours=hours * runs, others=others)


def _run_hours(resource: Resource, spec: Value, context: Context) -> tuple[Decimal, str]:
    """Return how long a run takes, and what was assumed: all the time that it may take."""
    where = context.where_stated(resource, "run_hours")
    if (stated := context.stated(resource, "run_hours")) is not None:
        return stated, ""
    deadline = at(spec, "activeDeadlineSeconds")
    if deadline.absent:
        raise AmountNotKnown(f"nothing says how long it takes; state {where}")
    hours = amount(deadline) / 3600
    return hours, f"the whole maximum run time of {hours:.4g} h; state {where}"

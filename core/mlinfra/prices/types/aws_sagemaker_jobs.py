"""SageMaker jobs: training and tuning, which are paid once when they are created, and monitors on a schedule."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from mlinfra.policy.values import at, every, is_true
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.cron import weekly
from mlinfra.prices.registry import (
    HOURS,
    Answer,
    Free,
    Gap,
    NotKnown,
    Quantity,
    Use,
    amount,
    apart,
    exactly,
    known,
    priced,
)
from mlinfra.resources import Resource

TRAINING = "aws:sagemaker/trainingJob:TrainingJob"
TUNING = "aws:sagemaker/hyperParameterTuningJob:HyperParameterTuningJob"
SCHEDULE = "aws:sagemaker/monitoringSchedule:MonitoringSchedule"
DEFINITION = "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition"
STARTER = "aws:scheduler/schedule:Schedule"
PIPELINE = "aws:sagemaker/pipeline:Pipeline"
DAY = 86400
_UNITS = {"minute": 60, "hour": 3600, "day": DAY}
_MONITOR_SECONDS = 3600


def _key(component: str, item: str, unit: str = "hour") -> Key:
    return Key("aws", "SageMaker", component, item, unit)


@priced(TRAINING)
def training_job(resource: Resource, context: Context) -> Iterator[Answer]:
    """One run when the job is created; the runs a month that are stated, beside it."""
    hours, assumed = _run_hours(resource, resource.inputs, context)
    yield from _training(resource, resource.inputs, exactly(1), hours, assumed, context)
    kept = amount(at(resource.inputs, "resourceConfig.keepAlivePeriodInSeconds"), 0) / 3600
    if kept > 0:
        for label, instance, count in _clusters(resource.inputs):
            quantity = exactly(count * kept)
            yield Use(_key("training-warm-pool", instance, "hour"), quantity, f"{label}warm pool", one_off=True)
    if (runs := context.stated(resource, "runs")) is not None:
        for label, instance, count in _clusters(resource.inputs):
            quantity = exactly(count * hours * runs)
            yield Use(_key("training", instance), quantity, f"{label}{runs} runs a month", idle=False, assumed=assumed)


@priced(TUNING)
def tuning_job(resource: Resource, context: Context) -> Iterator[Answer]:
    """All trials, each as long as it may be, when the job is created."""
    trials = amount(at(resource.inputs, "config.resourceLimits.maxNumberOfTrainingJobs"), 1)
    definitions = [
        *every(resource.inputs, "trainingJobDefinitions[]"),
        *(item for item in [at(resource.inputs, "trainingJobDefinition")] if not item.absent),
    ]
    for number, definition in enumerate(definitions, 1):
        label = f"definition {number}" if len(definitions) > 1 else "all trials"
        yield from apart(label, _trials(resource, known(definition), trials, context), one_off=True)


def _trials(resource: Resource, definition: Any, trials: Decimal, context: Context) -> Iterator[Answer]:
    hours, assumed = _run_hours(resource, definition, context)
    yield from _training(resource, definition, exactly(trials), hours, assumed, context)


def _training(
    resource: Resource, inputs: Any, runs: Quantity, hours: Decimal, assumed: str, context: Context
) -> Iterator[Answer]:
    spot = is_true(at(inputs, "enableManagedSpotTraining").value)
    notes = [assumed, "no saving by managed spot, which nobody guarantees" if spot else ""]
    for label, instance, count in _clusters(inputs):
        yield Use(
            _key("training", instance), runs.times(count * hours), label.rstrip(": "), one_off=True,
            assumed="; ".join(filter(None, notes)),
        )  # fmt: skip
        volume = amount(at(inputs, "resourceConfig.volumeSizeInGb"), 0)
        if volume > 0:
            stored = runs.times(count * volume * hours / HOURS)
            yield Use(_key("training", "ML storage", "GB-month"), stored, label.rstrip(": "), one_off=True)


def _clusters(inputs: Any) -> Iterator[tuple[str, str, Decimal]]:
    """Yield the name, the instance type and the number of instances of each group of a job.

    Raises:
        NotKnown: one of them is known only after an `up`, or absent.
    """
    config = at(inputs, "resourceConfig")
    if config.absent:
        config = at(inputs, "hyperParameterTuningResourceConfig")
    groups = every(known(config, {}), "instanceGroups[]")
    for group in groups or [config]:
        given = known(group, {})
        instance = known(at(given, "instanceType"))
        if instance is None:
            raise NotKnown("instanceType is absent")
        name = known(at(given, "instanceGroupName"))
        yield (f"{name}: " if name else ""), str(instance), amount(at(given, "instanceCount"), 1)


def _run_hours(resource: Resource, inputs: Any, context: Context) -> tuple[Decimal, str]:
    """Return how long a run takes, and what was assumed: all the time that it may take."""
    if (stated := context.stated(resource, "run_hours")) is not None:
        return stated, ""
    seconds = amount(at(inputs, "stoppingCondition.maxRuntimeInSeconds"), DAY)
    where = context.where_stated(resource, "run_hours")
    return seconds / 3600, f"the whole maximum run time of {seconds / 3600:.4g} h; state {where}"


@priced(SCHEDULE)
def monitoring_schedule(resource: Resource, context: Context) -> Iterator[Answer]:
    """A processing job at each time of the schedule, of the inline definition or of one of the stack."""
    config = "monitoringScheduleConfig"
    inline = at(resource.inputs, f"{config}.monitoringJobDefinition")
    name = at(resource.inputs, f"{config}.monitoringJobDefinitionName")
    cluster: Any
    if known(inline):
        cluster = at(inline.value, "monitoringResources.clusterConfig")
        limit = at(inline.value, "stoppingCondition.maxRuntimeInSeconds")
    else:
        found = [
            *(one for one in context.inspection.sources(resource, config) if one.type == DEFINITION and name.unknown),
            *context.inspection.named(name.value, "name", DEFINITION),
        ]
        if len(found) != 1:
            yield Gap("monitoring", "the job definition of the schedule is not here (monitoringJobDefinitionName)")
            return
        cluster = at(found[0].inputs, "jobResources.clusterConfig")
        limit = at(found[0].inputs, "stoppingCondition.maxRuntimeInSeconds")
    instance = known(at(known(cluster, {}), "instanceType"))
    if instance is None:
        raise NotKnown("instanceType is absent")
    expression = known(at(resource.inputs, f"{config}.scheduleConfig.scheduleExpression"), "NOW")
    runs = runs_a_month(str(expression))
    count = amount(at(cluster.value, "instanceCount"), 1)
    stated = context.stated(resource, "run_hours")
    most = amount(limit, _MONITOR_SECONDS) / 3600
    hours = Quantity(Decimal(0), Decimal(0), most) if stated is None else exactly(stated)
    where = context.where_stated(resource, "run_hours")
    assumed = "" if stated is not None else f"no time for a run of at most {most:.4g} h; state {where}"
    once = runs == 0
    quantity = hours.times(count * (1 if once else runs))
    yield Use(_key("processing", str(instance)), quantity, "monitor", one_off=once, assumed=assumed)
    if (volume := amount(at(cluster.value, "volumeSizeInGb"), 0)) > 0:
        storage = _key("processing", "ML storage", "GB-month")
        yield Use(storage, quantity.times(volume / HOURS), "monitor", one_off=once, assumed=assumed)


@priced(STARTER)
def scheduled_pipeline(resource: Resource, context: Context) -> Iterator[Answer]:
    """The processing jobs of a pipeline of the stack, at each time of the schedule that starts it."""
    pipelines = [each for each in context.inspection.sources(resource, "target") if each.type == PIPELINE]
    steps = [step for pipeline in pipelines for step in _processing_steps(pipeline)]
    if not steps:
        yield Free("the first 14 million starts a month are free", "https://aws.amazon.com/eventbridge/pricing/")
        return
    runs = _runs_of_rate(str(known(at(resource.inputs, "scheduleExpression"), "")))
    stated = context.stated(resource, "run_hours")
    for step in steps:
        cluster = at(step, "ProcessingResources.ClusterConfig").value
        most = amount(at(step, "StoppingCondition.MaxRuntimeInSeconds"), DAY) / 3600
        hours = Quantity(Decimal(0), Decimal(0), most) if stated is None else exactly(stated)
        where = context.where_stated(resource, "run_hours")
        assumed = "" if stated is not None else f"no time for a run of at most {most:.4g} h; state {where}"
        quantity = hours.times(amount(at(cluster, "InstanceCount"), 1) * runs)
        yield Use(_key("processing", str(cluster["InstanceType"])), quantity, "monitor", assumed=assumed)
        storage = _key("processing", "ML storage", "GB-month")
        volume = amount(at(cluster, "VolumeSizeInGB"), 0)
        yield Use(storage, quantity.times(volume / HOURS), "monitor", assumed=assumed)


def _processing_steps(pipeline: Resource) -> Iterator[Any]:
    """Yield the arguments of a pipeline's processing jobs.

    Raises:
        NotKnown: its definition is known only after an `up`.
    """
    given = known(at(pipeline.inputs, "pipelineDefinition"), "{}")
    definition = json.loads(str(given))
    for step in definition.get("Steps", ()):
        if step.get("Type") == "Processing":
            yield step["Arguments"]


def _runs_of_rate(expression: str) -> Decimal:
    """Return how often a `rate(…)` or `cron(…)` runs in a month.

    Raises:
        AmountNotKnown: it is no such expression.
    """
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if match is None:
        return weekly(expression).a_month
    return HOURS * 3600 / (int(match[1]) * _UNITS[match[2]])


def runs_a_month(expression: str) -> Decimal:
    """Return how often a `cron(…)` runs in a month of 730 hours; 0 for `NOW`, once.

    Raises:
        AmountNotKnown: it is bound to days of the month, months or years, or is no such expression.
    """
    if expression.strip().upper() == "NOW":
        return Decimal(0)
    return weekly(expression).a_month

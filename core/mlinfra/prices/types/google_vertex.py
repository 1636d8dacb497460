"""Vertex AI by Google's native provider: training jobs, which Pulumi starts like any resource, and monitors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from mlinfra.policy.values import Value, at, every
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import AmountNotKnown, Answer, NotKnown, Use, amount, apart, exactly, known, priced
from mlinfra.prices.types.gcp_vertex import machines
from mlinfra.resources import Resource


@priced("google-native:aiplatform/*:CustomJob")
def custom_job(resource: Resource, context: Context) -> Iterator[Answer]:
    """The machines of all pools while a run takes, once; and the runs a month that are stated."""
    hours, assumed = _run_hours(resource, context)
    runs = context.stated(resource, "runs")
    pools = every(resource.inputs, "jobSpec.workerPoolSpecs[]")
    if not pools:
        raise NotKnown("jobSpec.workerPoolSpecs is absent")
    for number, pool in enumerate(pools):
        yield from apart(f"pool {number + 1}", _pool(pool, f"pool {number + 1}", hours, runs, assumed), one_off=True)


@priced("google-native:aiplatform/*:ModelDeploymentMonitoringJob")
def monitor(resource: Resource, context: Context) -> Iterator[Answer]:
    """What it analyses."""
    analysed, assumed = context.load(resource, "data_gb")
    key = Key("gcp", "Vertex AI", "model-monitoring", "data analysed", "GB")
    yield Use(key, analysed, assumed=assumed, idle=False)


def _pool(pool: Value, label: str, hours: Decimal, runs: Decimal | None, assumed: str) -> Iterator[Answer]:
    spec, run = at(pool, "machineSpec"), exactly(amount(at(pool, "replicaCount"), 1) * hours)
    yield from machines(spec, "custom-training", run, label, assumed, one_off=True, idle=False)
    if runs is not None:
        monthly = f"{label}, {runs} runs a month"
        yield from machines(spec, "custom-training", run.times(runs), monthly, assumed, idle=False)


def _run_hours(resource: Resource, context: Context) -> tuple[Decimal, str]:
    """Return how long a run takes, and what was assumed: all the time that it may take."""
    where = context.where_stated(resource, "run_hours")
    if (stated := context.stated(resource, "run_hours")) is not None:
        return stated, ""
    timeout = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(known(at(resource.inputs, "jobSpec.scheduling.timeout"), "")))
    if timeout is None:
        raise AmountNotKnown(f"nothing says how long it takes; state {where}")
    hours = Decimal(timeout[1]) / 3600
    return hours, f"the whole maximum run time of {hours:.4g} h; state {where}"

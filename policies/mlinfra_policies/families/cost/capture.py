"""COST-14: no more is captured, and monitored no more often, than is worth its price."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_false, is_true, number
from mlinfra.resources import Resource
from mlinfra_policies.families.cost.amounts import above


@decides("COST-14", "aws:sagemaker/endpointConfiguration:EndpointConfiguration")
def capture_on_sagemaker(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Capture is off, as it is by default, or samples within the limit."""
    switch = at(resource.inputs, "dataCaptureConfig.enableCapture")
    yield from _sampled(switch, at(resource.inputs, "dataCaptureConfig.initialSamplingPercentage"), inspection)


@decides("COST-14", "gcp:vertex/aiEndpoint:AiEndpoint")
def capture_on_vertex(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The log of requests is off, as it is by default, or samples within the limit; the rate is a fraction."""
    logging = at(resource.inputs, "predictRequestResponseLoggingConfig")
    yield from _sampled(at(logging, "enabled"), at(logging, "samplingRate"), inspection, fraction=True)


@decides("COST-14", "azure-native:machinelearningservices:OnlineDeployment")
def capture_on_azureml(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each collection is disabled or samples within the limit; the rate is a fraction, and 1 where nothing is said."""
    for collection in every(resource.inputs, "properties.dataCollector.collections{}"):
        mode, rate = at(collection, "dataCollectionMode"), at(collection, "samplingRate")
        switch = mode if mode.unknown else Value(mode.path, str(mode.value).lower() != "disabled")
        rate = Value(rate.path, 1.0) if rate.absent else rate
        yield from _sampled(switch, rate, inspection, fraction=True)


@decides("COST-14", "azure-native:machinelearningservices:Schedule")
def monitor_on_azureml(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A monitor runs hourly or less often."""
    action = at(resource.inputs, "properties.action.actionType")
    if is_false(at(resource.inputs, "properties.isEnabled").value):
        return
    if not action.unknown and action.value != "CreateMonitor":
        return
    trigger = at(resource.inputs, "properties.trigger")
    cron = at(trigger, "expression")
    answers = _recurring(trigger) if cron.absent else _by_cron(cron)
    for answer in answers:
        yield unknown(action.path) if action.unknown else answer


def _sampled(switch: Value, rate: Value, inspection: Inspection, *, fraction: bool = False) -> Iterator[Answer]:
    limit = inspection.settings.capture_sampling_max_percent
    bound = limit / 100 if fraction else limit
    if switch.unknown or is_true(switch.value):
        for answer in above(rate, bound, f"{bound:g}" if fraction else f"{limit:g} percent"):
            yield unknown(switch.path) if switch.unknown else answer


def _recurring(trigger: Value) -> Iterator[Answer]:
    frequency, interval = at(trigger, "frequency"), at(trigger, "interval")
    minutes = at(trigger, "schedule.minutes")
    runs = isinstance(minutes.value, list) and len(minutes.value)
    length = 1.0 if interval.absent else number(interval.value)
    if runs > 1:
        yield violation(minutes.path, f"the monitor runs {runs} times an hour; hourly is enough")
    elif frequency.unknown:
        yield unknown(frequency.path)
    elif str(frequency.value).lower() == "minute":
        if length is None:
            yield unknown(interval.path)
        elif length < 60:
            yield violation(frequency.path, f"the monitor runs every {length:g} minutes; hourly is enough")


def _by_cron(cron: Value) -> Iterator[Answer]:
    """Yield where the minutes of a cron expression name more than one minute of an hour."""
    if cron.unknown:
        yield unknown(cron.path)
    elif not re.fullmatch(r"\d+|\*/([6-9]\d|\d{3,})", str(cron.value).split()[0]):
        yield violation(cron.path, f"the monitor runs by {cron.value!r}, more often than hourly; hourly is enough")

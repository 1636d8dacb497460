"""AWS logs, alarms, dashboards and messages."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from mlinfra.policy.values import at, number
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import Answer, Free, Gap, Use, exactly, known, priced
from mlinfra.resources import Resource

_A_MILLIONTH = Decimal("0.000001")
_DESCRIPTIONS = {
    f"AWS::SageMaker::{name}"
    for name in (
        *("ModelPackage", "ModelPackageGroup", "ModelCard", "DataQualityJobDefinition", "ModelQualityJobDefinition"),
        *("ModelBiasJobDefinition", "ModelExplainabilityJobDefinition", "Pipeline", "Model"),
    )
}


def _key(service: str, component: str, item: str, unit: str) -> Key:
    return Key("aws", service, component, item, unit)


@priced("aws:cloudwatch/logGroup:LogGroup")
def log_group(resource: Resource, context: Context) -> Iterator[Answer]:
    """The GB that are written, and what is kept of them."""
    written, assumed = context.load(resource, "log_gb")
    rare = known(at(resource.inputs, "logGroupClass")) == "INFREQUENT_ACCESS"
    item = "ingestion infrequent access" if rare else "ingestion"
    yield Use(_key("CloudWatch", "logs", item, "GB"), written, idle=False, assumed=assumed)
    kept, assumed = context.load(resource, "storage_gb")
    yield Use(_key("CloudWatch", "logs", "storage", "GB-month"), kept, assumed=assumed)


@priced("aws:cloudwatch/metricAlarm:MetricAlarm")
def alarm(resource: Resource, context: Context) -> Iterator[Answer]:
    """The alarm; one that looks more often than each minute costs more."""
    period = number(known(at(resource.inputs, "period")))
    item = "high-resolution alarm" if period is not None and period < 60 else "standard alarm"
    yield Use(_key("CloudWatch", "alarms", item, "month"), exactly(1))


@priced("aws:cloudwatch/logMetricFilter:LogMetricFilter")
def metric_filter(resource: Resource, context: Context) -> Iterator[Answer]:
    """The metric that the filter makes; with dimensions there is one for each of their values."""
    yield Use(_key("CloudWatch", "metrics", "custom metric", "month"), exactly(1))


@priced("aws:ssm/parameter:Parameter")
def parameter(resource: Resource, context: Context) -> Iterator[Answer]:
    """The parameter, where it is an advanced one."""
    if known(at(resource.inputs, "tier"), "Standard") == "Standard":
        yield Free("a standard parameter is free", "https://aws.amazon.com/systems-manager/pricing/")
        return
    yield Use(_key("Systems Manager", "parameter", "advanced parameter", "month"), exactly(1))


@priced("aws:cloudcontrol/resource:Resource")
def any_resource(resource: Resource, context: Context) -> Iterator[Answer]:
    """A type of AWS's own that Pulumi's provider lacks: free where it is a description of the model registry's."""
    name = str(known(at(resource.inputs, "typeName"), "a resource"))
    if name in _DESCRIPTIONS:
        yield Free("a description; what runs by it is billed", "https://aws.amazon.com/sagemaker/ai/pricing/")
    else:
        yield Gap(name, "nobody has said what it costs")


@priced("aws:cloudwatch/compositeAlarm:CompositeAlarm")
def composite_alarm(resource: Resource, context: Context) -> Iterator[Answer]:
    """The alarm."""
    yield Use(_key("CloudWatch", "alarms", "composite alarm", "month"), exactly(1))


@priced("aws:cloudwatch/dashboard:Dashboard")
def dashboard(resource: Resource, context: Context) -> Iterator[Answer]:
    """The dashboard."""
    yield Use(_key("CloudWatch", "dashboards", "dashboard", "month"), exactly(1))


@priced("aws:sns/topic:Topic")
def topic(resource: Resource, context: Context) -> Iterator[Answer]:
    """The messages that are stated."""
    requests, assumed = context.load(resource, "requests")
    key = _key("SNS", "topic", "publishes", "million requests")
    yield Use(key, requests.times(_A_MILLIONTH), idle=False, assumed=assumed)


@priced("aws:sqs/queue:Queue")
def queue(resource: Resource, context: Context) -> Iterator[Answer]:
    """The requests that are stated."""
    requests, assumed = context.load(resource, "requests")
    item = "FIFO requests" if known(at(resource.inputs, "fifoQueue")) is True else "standard requests"
    key = _key("SQS", "queue", item, "million requests")
    yield Use(key, requests.times(_A_MILLIONTH), idle=False, assumed=assumed)


@priced("aws:cloudwatch/eventBus:EventBus")
def event_bus(resource: Resource, context: Context) -> Iterator[Answer]:
    """The events that are stated."""
    requests, assumed = context.load(resource, "requests")
    key = _key("EventBridge", "bus", "custom events", "million requests")
    yield Use(key, requests.times(_A_MILLIONTH), idle=False, assumed=assumed)

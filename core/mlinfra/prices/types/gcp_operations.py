"""What watches and starts things on Google Cloud: schedules, logs, alarms, topics, and addresses."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from mlinfra.policy.values import at, every
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.cron import weekly
from mlinfra.prices.registry import Answer, Free, Gap, NotKnown, Quantity, Use, amount, known, priced
from mlinfra.prices.types.gcp_vertex import machines
from mlinfra.resources import Resource

_SECONDS = 3600


@priced("gcp:cloudscheduler/job:Job")
def scheduled_job(resource: Resource, context: Context) -> Iterator[Answer]:
    """The job itself, and the machines of a Vertex AI custom job that it starts each time."""
    yield Gap(
        "schedule", "the book has no price of Cloud Scheduler: a small one for each job beyond three", unused=True
    )
    job = _custom_job(resource)
    if job is None:
        return
    stated = context.stated(resource, "run_hours")
    timeout = str(known(at(job, "jobSpec.scheduling.timeout"), "604800s")).removesuffix("s")
    most = Decimal(timeout) / _SECONDS
    hours = Quantity(Decimal(0), Decimal(0), most) if stated is None else Quantity(stated, stated, stated)
    where = context.where_stated(resource, "run_hours")
    assumed = "" if stated is not None else f"no time for a run of at most {most:.4g} h; state {where}"
    minute, hour, day, month, weekday = str(known(at(resource.inputs, "schedule"), "")).split()
    runs = weekly(f"cron({minute} {hour} {day} {month} {'?' if weekday == '*' else weekday} *)").a_month
    for pool in every(job, "jobSpec.workerPoolSpecs[]"):
        used = hours.times(runs * amount(at(pool, "replicaCount"), 1))
        yield from machines(at(pool, "machineSpec"), "custom-training", used, "runs", assumed, idle=False)


@priced("gcp:logging/projectBucketConfig:ProjectBucketConfig")
def log_bucket(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is written to it; keeping it beyond 30 days has a price that the book has not."""
    quantity, assumed = context.load(resource, "log_gb")
    yield Use(Key("gcp", "Cloud Logging", "logging", "ingestion", "GiB"), quantity, idle=False, assumed=assumed)
    if amount(at(resource.inputs, "retentionDays"), 30) > 30 and quantity.high > 0:
        yield Gap("retention", "the book has no price of keeping lines beyond 30 days")


@priced("gcp:pubsub/topic:Topic")
def topic(resource: Resource, context: Context) -> Iterator[Answer]:
    """What is sent through it: nothing as far as is stated."""
    yield Gap("messages", "the book has no price of Pub/Sub; the first 10 GiB a month are free", unused=True)


@priced("gcp:monitoring/alertPolicy:AlertPolicy")
def alert_policy(resource: Resource, context: Context) -> Iterator[Answer]:
    """Its conditions, for which Google has announced a price."""
    yield Gap("conditions", "the book has no price of conditions, which Google has announced")


@priced("gcp:compute/address:Address")
def address(resource: Resource, context: Context) -> Iterator[Answer]:
    """An address inside a network costs nothing."""
    if str(known(at(resource.inputs, "addressType"), "EXTERNAL")).upper() != "INTERNAL":
        raise NotKnown("the book has no price of public addresses")
    yield Free("an internal address has no charge", "https://cloud.google.com/vpc/network-pricing")


def _custom_job(resource: Resource) -> Any:
    """Return the custom job that is sent, or None where something else is.

    Raises:
        NotKnown: it cannot be read what is sent to Vertex AI.
    """
    if not str(known(at(resource.inputs, "httpTarget.uri"), "")).endswith("/customJobs"):
        return None
    try:
        return json.loads(base64.b64decode(str(known(at(resource.inputs, "httpTarget.body"), ""))))
    except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError):
        raise NotKnown("the custom job that it starts cannot be read (httpTarget.body)") from None

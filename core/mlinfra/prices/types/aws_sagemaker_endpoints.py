"""SageMaker endpoints. A configuration is billed through the endpoints that refer to it; autoscaling targets, which
refer to an endpoint's variant by its resource id, say between how many instances there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from mlinfra.policy.values import at, every
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.cron import Weekly, over_a_week, weekly
from mlinfra.prices.registry import (
    HOURS,
    AmountNotKnown,
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

CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
TARGET = "aws:appautoscaling/target:Target"
ACTION = "aws:appautoscaling/scheduledAction:ScheduledAction"
INSTANCES = "sagemaker:variant:DesiredInstanceCount"
CONCURRENCY = "sagemaker:variant:DesiredProvisionedConcurrency"
SECONDS = HOURS * 3600

Scaling = Mapping[tuple[str, str], list[Resource]]
"""Autoscaling resources by their dimension, and by what they scale."""

_STORAGE = Key("aws", "SageMaker", "realtime-hosting", "ML storage", "GB-month")
_DATA = Key("aws", "SageMaker", "realtime-hosting", "data in/out", "GB")
_SERVERLESS = Key("aws", "SageMaker", "serverless-inference", "duration", "GB-second")
_PROVISIONED = Key("aws", "SageMaker", "serverless-inference", "provisioned concurrency", "GB-second")


@priced(ENDPOINT)
def endpoint(resource: Resource, context: Context) -> Iterator[Answer]:
    """The traffic; what serves it is billed by the configuration."""
    name = f"endpoint {resource.name}"
    configurations = context.refer_to(resource, "endpointConfigName", CONFIGURATION, "name")
    if configurations is None:
        yield Gap(name, "its configuration is known only after an up (endpointConfigName)")
    elif not configurations:
        yield Gap(name, "its configuration is not here (endpointConfigName)")
    quantity, assumed = context.load(resource, "data_gb")
    yield Use(_DATA, quantity, idle=False, assumed=assumed)


@priced(CONFIGURATION)
def configuration(resource: Resource, context: Context) -> Iterator[Answer]:
    """The variants, once for each endpoint of the stack that refers to the configuration."""
    endpoints: list[Resource | None] = list(context.once(_users).get(resource.urn, ()))
    if not endpoints and context.inspection.complete:
        yield Free("no endpoint uses it")
        return
    variants = [
        *every(resource.inputs, "productionVariants[]"),
        *every(resource.inputs, "shadowProductionVariants[]"),
    ]
    for user in endpoints or [None]:
        for number, variant in enumerate(variants, 1):
            named = at(variant.value, "variantName")
            label = f"variant {number if named.unknown or named.absent else named.value}"
            label = f"{user.name} {label}" if user is not None and len(endpoints) > 1 else label
            for answer in apart(label, _variant(resource, user, variant.value, len(variants), label, context)):
                yield _perhaps(answer) if user is None and isinstance(answer, Use) else answer


def _perhaps(use: Use) -> Use:
    """Return what is paid only if an endpoint uses the configuration that the preview does not print."""
    assumed = "no endpoint uses it; a preview without --show-sames may leave one out"
    return replace(use, quantity=Quantity(Decimal(0), Decimal(0), use.quantity.high), assumed=assumed)


def _variant(
    resource: Resource, user: Resource | None, variant: Any, variants: int, label: str, context: Context
) -> Iterator[Answer]:
    serverless = at(variant, "serverlessConfig")
    if known(serverless):
        yield from _serverless(resource, user, variant, variants, label, context)
        return
    instance = known(at(variant, "instanceType"))
    if instance is None:
        raise NotKnown("instanceType is absent")
    low, high = _bounds(user, variant, variants, context)
    replicas, assumed = context.replicas(resource, low, high)
    yield Use(
        Key("aws", "SageMaker", "realtime-hosting", str(instance), "hour"), replicas.times(HOURS), label,
        assumed=assumed,
    )  # fmt: skip
    if (volume := amount(at(variant, "volumeSizeInGb"), 0)) > 0:
        yield Use(_STORAGE, replicas.times(volume), label, assumed=assumed)


def _bounds(user: Resource | None, variant: Any, variants: int, context: Context) -> tuple[Decimal, Decimal]:
    """Return between how many instances a variant has."""
    if (found := _target(user, variant, variants, INSTANCES, context)) is not None:
        return found
    count = amount(at(variant, "initialInstanceCount"), 1)
    managed = at(variant, "managedInstanceScaling")
    if known(managed) and known(at(variant, "managedInstanceScaling.status"), "ENABLED") != "DISABLED":
        low = amount(at(variant, "managedInstanceScaling.minInstanceCount"), count)
        return low, max(low, amount(at(variant, "managedInstanceScaling.maxInstanceCount"), max(low, count)))
    return count, count


def _serverless(
    resource: Resource, user: Resource | None, variant: Any, variants: int, label: str, context: Context
) -> Iterator[Answer]:
    """On demand: the seconds that requests take, at most those of full concurrency around the clock."""
    memory = amount(at(variant, "serverlessConfig.memorySizeInMb"), 2048) / 1024
    most = amount(at(variant, "serverlessConfig.maxConcurrency")) * SECONDS
    requests, milliseconds = context.stated(resource, "requests"), context.stated(resource, "request_ms")
    if requests is not None and milliseconds is not None:
        busy, assumed = exactly(min(most, requests * milliseconds / 1000)), ""
    else:
        where = context.where_stated(resource, "requests")
        busy = Quantity(Decimal(0), Decimal(0), most)
        assumed = f"no requests; state {where} and request_ms"
    yield Use(_SERVERLESS, busy.times(memory), label, idle=False, assumed=assumed)
    bounds = _target(user, variant, variants, CONCURRENCY, context)
    fixed = amount(at(variant, "serverlessConfig.provisionedConcurrency"), 0)
    low, high = bounds or (fixed, fixed)
    if high > 0:
        kept, assumed = context.replicas(resource, low, high)
        yield Use(_PROVISIONED, kept.times(SECONDS * memory), label, assumed=assumed)


def _target(
    user: Resource | None, variant: Any, variants: int, dimension: str, context: Context
) -> tuple[Decimal, Decimal] | None:
    """Return the bounds that autoscaling gives a variant of an endpoint, averaged over a week where a schedule changes
    them; None where there is no target."""
    if user is None:
        return None
    named = at(variant, "variantName").value
    keys = [(dimension, f"endpoint/{at(user.inputs, 'name').value}/variant/{named}"), (dimension, user.urn)]
    targets, actions = context.once(_targets), context.once(_actions)
    found = [target for key in keys for target in targets.get(key, ())]
    if not found:
        return None
    if keys[0] not in targets and variants > 1:
        raise AmountNotKnown("which variant is scaled is known only after an up (resourceId)")
    low = amount(at(found[0].inputs, "minCapacity"))
    high = max(low, amount(at(found[0].inputs, "maxCapacity")))
    return over_a_week((low, high), [_change(action) for key in keys for action in actions.get(key, ())])


def _change(action: Resource) -> tuple[Weekly, Decimal | None, Decimal | None]:
    """Return when a scheduled action changes the bounds, and to what."""
    given = [at(action.inputs, f"scalableTargetAction.{name}") for name in ("minCapacity", "maxCapacity")]
    low, high = (None if value.absent else amount(value) for value in given)
    schedule = at(action.inputs, "schedule")
    if schedule.unknown:
        raise AmountNotKnown("when it is scaled is known only after an up (schedule)")
    return weekly(str(schedule.value)), low, high


def _targets(context: Context) -> Scaling:
    return _by_what_they_scale(context, TARGET)


def _actions(context: Context) -> Scaling:
    return _by_what_they_scale(context, ACTION)


def _by_what_they_scale(context: Context, token: str) -> Scaling:
    """Return autoscaling resources by dimension and resource id; where that is not known, by endpoint."""
    found: dict[tuple[str, str], list[Resource]] = {}
    for scaling in context.inspection.of(token):
        dimension, resource_id = str(at(scaling.inputs, "scalableDimension").value), at(scaling.inputs, "resourceId")
        if resource_id.unknown:
            for source in context.inspection.sources(scaling, "resourceId"):
                found.setdefault((dimension, source.urn), []).append(scaling)
        else:
            found.setdefault((dimension, str(resource_id.value)), []).append(scaling)
    return found


def _users(context: Context) -> Mapping[str, list[Resource]]:
    """Return the endpoints that refer to each configuration, by its URN."""
    found: dict[str, list[Resource]] = {}
    for endpoint in context.inspection.of(ENDPOINT):
        for used in context.refer_to(endpoint, "endpointConfigName", CONFIGURATION, "name") or ():
            found.setdefault(used.urn, []).append(endpoint)
    return found

"""ADD-01 to ADD-08: guarded rollouts, and capacity that is paid for twice, for nothing, or for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from mlinfra.policy.inspection import Inspection, plain
from mlinfra.policy.rule import Answer, Verdict, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_absent, number
from mlinfra.prices.book import snapshot
from mlinfra.prices.estimate import estimate
from mlinfra.prices.registry import HOURS
from mlinfra.resources import Resource
from mlinfra_policies.families.cost.accelerated import in_pod, total
from mlinfra_policies.families.cost.amounts import in_production, is_known, outside_production
from mlinfra_policies.families.cost.endpoints import (
    CONFIGURATION,
    ENDPOINT,
    ONLINE_ENDPOINT,
    configuration_of,
    deployments_of,
    endpoints_of,
    targets_of,
)
from mlinfra_policies.families.cost.expiry import missing_expiry
from mlinfra_policies.families.cost.training import TUNING, definitions
from mlinfra_policies.pods import pods

_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
_EXPERIMENT = "kubernetes:kubeflow.org/v1beta1:Experiment"
_SERVICE = "kubernetes:serving.kserve.io/v1beta1:InferenceService"
_STANDING = (
    "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer",
    "gcp:vertex/aiPersistentResource:AiPersistentResource",
    "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore",
)
_MANY_TRIALS = 20
_ON_CPU = ("sklearn", "xgboost", "lightgbm", "pmml")
_REASON = "accelerator-reason"
_ROLLBACK = "deploymentConfig.autoRollbackConfiguration.alarms"


@decides("ADD-01", ENDPOINT)
def rollout_is_guarded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An endpoint of production changes step by step, and goes back when an alarm on it rings."""
    yield from in_production(resource, inspection, _unguarded(resource, inspection))


@decides("ADD-02", CONFIGURATION)
def shadow_ends(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A configuration with shadow variants, or the endpoint that uses it, says until when."""
    shadows = at(resource.inputs, "shadowProductionVariants")
    if not shadows.value:
        return
    found = [list(missing_expiry(each, inspection)) for each in [resource, *endpoints_of(resource, inspection)]]
    answers = [answer for each in found for answer in each]
    if not all(found):
        return
    if shadows.unknown or not inspection.complete or any(answer.verdict is Verdict.UNKNOWN for answer in answers):
        yield unknown(shadows.path, "whether shadow traffic has an end is not known")
    else:
        yield violation(shadows.path, "shadow traffic doubles the cost, and nothing says until when it is wanted")


@decides("ADD-02", ONLINE_ENDPOINT)
def mirror_ends(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An endpoint that mirrors traffic says until when."""
    mirrored = every(resource.inputs, "properties.mirrorTraffic{}")
    used = [each for each in mirrored if each.unknown or number(each.value)]
    for answer in missing_expiry(resource, inspection) if used else ():
        known = [each for each in used if not each.unknown]
        if answer.verdict is Verdict.UNKNOWN or not known:
            yield unknown(used[0].path, "whether mirrored traffic has an end is not known")
        else:
            yield violation(
                known[0].path, "mirrored traffic doubles the cost, and nothing says until when it is wanted"
            )


@decides("ADD-03", CONFIGURATION)
def variants_have_traffic(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A variant with weight 0 keeps no instance; the weight is 1 where nothing is said.

    Where a resource of its own splits the traffic, the first weight says nothing of it.
    """
    split = {name for each in inspection.of("mlinfra:*:Traffic") for name in at(each.inputs, "variants").value or ()}
    for variant in every(resource.inputs, "productionVariants[]"):
        if at(variant, "variantName").value in split:
            continue
        weight = at(variant, "initialVariantWeight")
        kept = _kept(variant)
        if weight.unknown and kept != 0:
            yield unknown(weight.path)
        elif number(weight.value) == 0 and kept is None:
            yield unknown(variant.path, "gets no traffic, and how many instances it keeps is not known")
        elif number(weight.value) == 0 and kept:
            yield violation(weight.path, f"gets no traffic, and keeps {kept:g} paid instances")


@decides("ADD-03", ONLINE_ENDPOINT)
def deployments_have_traffic(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A deployment without traffic, by its share or because it is not named, keeps no instance.

    Where a resource of its own splits the traffic, the endpoint says nothing of it.
    """
    split = {name for each in inspection.of("mlinfra:*:Traffic") for name in _values(at(each.inputs, "deployed"))}
    traffic = at(resource.inputs, "properties.traffic")
    mirror = at(resource.inputs, "properties.mirrorTraffic").value
    mirrored = mirror if isinstance(mirror, Mapping) else {}
    shares = dict(traffic.value) if isinstance(traffic.value, Mapping) else {}
    deployments = {str(at(each.inputs, "deploymentName").value): each for each in deployments_of(resource, inspection)}
    if traffic.hidden:
        yield unknown(traffic.path)
        return
    for name in {**shares, **deployments}:
        share = Value(f"{traffic.path}.{name}", shares.get(name, 0))
        capacity = at(deployments[name].inputs, "sku.capacity") if name in deployments else Value("", None)
        if name in mirrored or name in split or Value("", name).hidden or number(capacity.value) == 0:
            continue
        if share.unknown or (number(share.value) == 0 and capacity.unknown):
            yield unknown(share.path)
        elif number(share.value) == 0:
            yield violation(share.path, f"{name} gets no traffic, and keeps its instances")


def _values(found: Value) -> Sequence[Any]:
    return list(found.value.values()) if isinstance(found.value, Mapping) else []


@decides("ADD-04", TUNING)
def tuning_is_within_the_budget(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """All trials of a tuning job, each as long as it may run, cost at most the budget."""
    trials = at(resource.inputs, "config.resourceLimits.maxNumberOfTrainingJobs")
    region = at(resource.inputs, "region").value
    jobs = [
        replace(
            resource, type="aws:sagemaker/trainingJob:TrainingJob", inputs={**_object(each.value), "region": region}
        )
        for each in definitions(resource)
    ]
    yield from _worst_case(trials, jobs, inspection)


@decides("ADD-04", _EXPERIMENT)
def experiment_is_within_the_budget(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """So do all trials of an experiment."""
    trial = at(resource.inputs, "spec.trialTemplate.trialSpec")
    kind = f"kubernetes:{at(trial, 'apiVersion').value or 'batch/v1'}:{at(trial, 'kind').value or 'Job'}"
    jobs = [replace(resource, type=kind, inputs=_object(trial.value))]
    yield from _worst_case(at(resource.inputs, "spec.maxTrialCount"), jobs, inspection)


@decides("ADD-05", TUNING)
def tuning_stops_early(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A large tuning job gives up on hopeless trials; Hyperband does so by itself."""
    stopping = at(resource.inputs, "config.trainingJobEarlyStoppingType")
    strategy = at(resource.inputs, "config.strategy")
    on = stopping.value == "Auto" or strategy.value == "Hyperband"
    trials = at(resource.inputs, "config.resourceLimits.maxNumberOfTrainingJobs")
    yield from _stops_early(trials, stopping, on=on, open_=stopping.unknown or strategy.unknown)


@decides("ADD-05", _EXPERIMENT)
def experiment_stops_early(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """So does a large experiment; without a number of trials it goes on until its goal."""
    stopping = at(resource.inputs, "spec.earlyStopping")
    on = isinstance(stopping.value, Mapping) and bool(stopping.value)
    yield from _stops_early(at(resource.inputs, "spec.maxTrialCount"), stopping, on=on, open_=stopping.unknown)


@decides("ADD-05", "azure-native:machinelearningservices:Job")
def sweep_stops_early(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """So does a large sweep; without a number of trials there may be a thousand."""
    kind = at(resource.inputs, "properties.jobType")
    stopping = at(resource.inputs, "properties.earlyTermination")
    on = not stopping.absent and not stopping.unknown
    if kind.unknown or kind.value == "Sweep":
        trials = at(resource.inputs, "properties.limits.maxTotalTrials")
        yield from _stops_early(trials, stopping, on=on, open_=stopping.unknown or kind.unknown)


@decides("ADD-06", _SERVICE)
def accelerator_is_useful(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A model that runs on CPU only has no accelerator, unless a label or an annotation says why."""
    predictor = at(resource.inputs, "spec.predictor")
    format_ = at(predictor, "model.modelFormat.name")
    old = [name for name in _ON_CPU if not at(predictor, name).absent]
    name = old[0] if old else str(format_.value).lower()
    if not format_.unknown and name not in _ON_CPU:
        return
    notes = at(resource.inputs, "metadata.annotations")
    tags, complete = inspection.known_tags(resource)
    names = {*tags, *(_object(notes.value) if not notes.unknown else ())}
    if any(plain(each.rpartition("/")[2]) == plain(_REASON) for each in names):
        return
    count = total([in_pod(pod) for pod in pods(resource) if pod.path.startswith(predictor.path)])
    if count.least and not (format_.unknown or notes.unknown) and complete:
        yield violation(count.path, f"{name} runs on the CPU; the accelerator is paid for nothing")
    elif count.least or count.open:
        path = format_.path if format_.unknown else count.open.path if count.open else count.path
        yield unknown(path, "whether the accelerator is useful is not known")


@decides("ADD-07", *_STANDING)
def standby_is_stated(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """What runs around the clock outside production has an owner and an end."""
    answers = [*_ownerless(resource, inspection), *missing_expiry(resource, inspection)]
    yield from outside_production(resource, inspection, answers)


@decides("ADD-08", ENDPOINT)
def update_is_within_the_budget(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Twice the instances, as while a blue/green update waits, cost at most an hour's share of the budget.

    SageMaker updates blue/green, all at once, where nothing is said.
    """
    budget = inspection.settings.budget_monthly_usd
    configuration = configuration_of(resource, inspection)
    policy = at(resource.inputs, "deploymentConfig.rollingUpdatePolicy")
    if budget is None or not (policy.absent or policy.unknown):
        return
    path = "deploymentConfig.blueGreenUpdatePolicy"
    if configuration is None:
        yield unknown("endpointConfigName", "what it costs is not known: its configuration is not in the stack")
        return
    around = [resource, configuration, *targets_of([resource], inspection), *_providers(inspection)]
    made = estimate(replace(inspection.resources, all=around), snapshot(), usage=inspection.usage)
    items = [each.dollars for each in made.items if each.idle]
    low, high = (sum((getattr(each, bound) for each in items), Decimal(0)) * 2 / HOURS for bound in ("low", "high"))
    hourly = Decimal(repr(budget)) / HOURS
    if low > hourly and not policy.unknown:
        yield violation(path, f"twice its instances cost {low:.2f} USD an hour; the budget is {hourly:.2f} an hour")
    elif high > hourly or any(each.resource.urn == configuration.urn for each in made.monthly_gaps):
        yield unknown(path, f"whether twice its instances cost at most {hourly:.2f} USD an hour is not known")


def _unguarded(endpoint: Resource, inspection: Inspection) -> Iterator[Answer]:
    config = at(endpoint.inputs, "deploymentConfig")
    rolling = at(config, "rollingUpdatePolicy")
    kind = at(config, "blueGreenUpdatePolicy.trafficRoutingConfiguration.type")
    alarms = every(endpoint.inputs, f"{_ROLLBACK}[]")
    if rolling.absent and not kind.unknown and kind.value not in ("CANARY", "LINEAR"):
        yield violation(kind.path, f"is {kind.value or 'ALL_AT_ONCE'}; CANARY, LINEAR or a rolling update is wanted")
    elif not alarms:
        yield violation(_ROLLBACK, "no alarm takes a bad release back")
    elif kind.unknown:
        yield unknown(kind.path)
    else:
        yield from _unwatched([at(alarm, "alarmName") for alarm in alarms], endpoint, inspection)


def _unwatched(names: Sequence[Value], endpoint: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Yield unless one of the alarms is in the stack and watches the endpoint."""
    referred = [inspection.referred(endpoint, name, "name", _ALARM) for name in names]
    watching = [_watches(alarm, endpoint) for found in referred for alarm in found]
    if True in watching:
        return
    if None in watching or not all(referred):
        yield unknown(names[0].path, "the alarm is not in the stack, or what it watches is not known")
    else:
        yield violation(names[0].path, "the alarm does not watch this endpoint; dimensions.EndpointName decides")


def _watches(alarm: Resource, endpoint: Resource) -> bool | None:
    wanted = at(endpoint.inputs, "name").value
    places = [at(alarm.inputs, "dimensions"), *every(alarm.inputs, "metricQueries[].metric.dimensions")]
    named = [at(place, "EndpointName") for place in places if not place.absent]
    if any(each.value == wanted and is_known(each) for each in named):
        return True
    sources = [urn for top in ("dimensions", "metricQueries") for urn in alarm.property_dependencies.get(top) or ()]
    if endpoint.urn in sources:
        return True
    return None if any(each.hidden for each in named) or Value("", wanted).hidden else False


def _kept(variant: Value) -> float | None:
    """Return how many instances a variant keeps at least; None where it is not known."""
    if not at(variant, "serverlessConfig").absent:
        least = at(variant, "serverlessConfig.provisionedConcurrency")
        return 0 if least.absent else number(least.value)
    scaling = at(variant, "managedInstanceScaling")
    least = at(scaling, "minInstanceCount") if not scaling.absent else at(variant, "initialInstanceCount")
    return 1 if least.absent else number(least.value)


def _worst_case(trials: Value, jobs: Sequence[Resource], inspection: Inspection) -> Iterator[Answer]:
    """Yield unless as many trials as there may be, each the dearest of `jobs`, cost at most the budget."""
    budget = inspection.settings.budget_monthly_usd
    if budget is None:
        return
    count = number(trials.value)
    costs = [estimate(replace(inspection.resources, all=[*_providers(inspection), job]), snapshot()) for job in jobs]
    most = max((made.one_off.high for made in costs if made.one_off is not None), default=Decimal(0))
    total = most * Decimal(repr(count or 1)) if most else most
    if total > Decimal(repr(budget)):
        yield violation(trials.path, f"may cost {total:,.2f} USD; the budget is {budget:,.2f}")
    elif count is None or not costs or any(made.unpriced for made in costs):
        yield unknown(trials.path, f"whether all trials cost at most {budget:,.2f} USD is not known")


def _providers(inspection: Inspection) -> list[Resource]:
    return inspection.of("pulumi:providers:*")


def _stops_early(trials: Value, stopping: Value, *, on: bool, open_: bool) -> Iterator[Answer]:
    count = number(trials.value)
    if on or (count is not None and count <= _MANY_TRIALS):
        return
    if open_ or trials.hidden:
        yield unknown(stopping.path if open_ else trials.path)
    else:
        many = f"{count:g}" if count is not None else "any number of"
        yield violation(stopping.path, f"{many} trials, and none is stopped early")


def _ownerless(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    tags, complete = inspection.known_tags(resource)
    names = {plain(name) for name in ("owner", *inspection.settings.tag_aliases.get("owner", ()))}
    place = "tags" if resource.type.startswith("aws:") else "labels"
    if all(is_absent(tags.get(name)) for name in names):
        yield violation(place, "it runs around the clock, and has no owner") if complete else unknown(place)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

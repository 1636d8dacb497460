"""Availability: enough instances, probes, disruption budgets that fit, and stores that nobody deletes by accident."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from mlinfra.policy.inspection import Inspection, matches
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_true, number
from mlinfra.resources import UNKNOWN, Resource
from mlinfra_policies.azure import said_of_each
from mlinfra_policies.families.cost.endpoints import endpoints_of, targets_of_variant
from mlinfra_policies.pods import pods
from mlinfra_policies.production import production_only
from mlinfra_policies.selectors import read
from mlinfra_policies.storage import DATASET, datasets

_AZURE = "azure-native:machinelearningservices"
_DEPLOYMENT = f"{_AZURE}:OnlineDeployment"
_GARDEN = "gcp:vertex/aiEndpointWithModelGardenDeployment:AiEndpointWithModelGardenDeployment"
_INFERENCE_SERVICE = "kubernetes:serving.kserve.io/*:InferenceService"
_DISRUPTION_BUDGET = "kubernetes:policy/*:PodDisruptionBudget"
_AUTOSCALER = "kubernetes:autoscaling/*:HorizontalPodAutoscaler"
_WORKLOADS = ("kubernetes:apps/*:Deployment", "kubernetes:apps/*:StatefulSet")
_LOCKS = tuple(f"azure-native:authorization:ManagementLock{kind}" for kind in ("ByScope", "AtResourceLevel"))


@decides("AVL-01", "aws:sagemaker/endpointConfiguration:EndpointConfiguration")
@production_only
def variants_have_two_instances(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for variant in every(resource.inputs, "productionVariants[]"):
        [serverless], [scaling] = every(variant, "serverlessConfig"), every(variant, "managedInstanceScaling")
        [bound], [status] = every(scaling, "minInstanceCount"), every(scaling, "status")
        [count] = every(variant, "initialInstanceCount")
        if serverless.hidden:
            yield unknown(serverless.path)
        elif serverless.absent:
            scaled = not bound.absent and status.value != "DISABLED"
            targets = targets_of_variant(variant, endpoints_of(resource, inspection), inspection)
            bounds = [at(target.inputs, "minCapacity") for target in targets]
            few = list(_two(bound if scaled else count))
            if few and any(each.hidden for each in bounds):
                yield unknown(count.path, "the lower bound of its autoscaling is known only after an up")
            elif all(list(_two(each)) for each in bounds):
                yield from few


@decides("AVL-01", "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool")
@production_only
def pools_have_two_instances(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _two(at(resource.inputs, "dedicatedResources.minReplicaCount"))


@decides("AVL-01", _GARDEN)
@production_only
def deployments_of_the_model_garden_have_two_instances(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _two(at(resource.inputs, "deployConfig.dedicatedResources.minReplicaCount"))


@decides("AVL-01", _DEPLOYMENT)
@production_only
def deployments_of_azure_have_two_instances(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    bound = at(resource.inputs, "properties.scaleSettings.minInstances")
    yield from _two(at(resource.inputs, "sku.capacity") if bound.absent else bound)


@decides("AVL-01", _INFERENCE_SERVICE)
@production_only
def predictors_have_two_replicas(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _two(at(resource.inputs, "spec.predictor.minReplicas"))


def _two(count: Value) -> Iterator[Answer]:
    """Yield whether a count is at least two. Each of the platforms keeps one instance where nothing is said."""
    if count.absent:
        yield violation(count.path, "keeps one instance, because nothing is said; two or more are wanted")
        return
    kept = number(count.value)
    if kept is None:
        yield unknown(count.path)
    elif kept < 2:
        yield violation(count.path, f"keeps {kept:g} instance{'s' * (kept != 1)}; two or more are wanted")


@decides("AVL-02", _GARDEN)
def containers_of_the_model_garden_are_checked(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    container = at(resource.inputs, "modelConfig.containerSpec")
    checks = [every(container, name)[0].value for name in ("healthRoute", "healthProbe", "livenessProbe")]
    if container.hidden:
        yield unknown(container.path)
    elif container.value and not any(checks):
        yield violation(container.path, "the container has no healthRoute, healthProbe or livenessProbe")


@decides("AVL-02", _DEPLOYMENT)
def deployments_of_azure_are_checked(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _probed(at(resource.inputs, "properties"))


@decides("AVL-02", _INFERENCE_SERVICE, *_WORKLOADS)
def serving_containers_are_checked(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for pod in pods(resource):
        for container in pod.containers():
            if container.kind == "container" and container.in_full:
                yield from _probed(Value(container.path, container.spec))


def _probed(outer: Value) -> Iterator[Answer]:
    """Yield which probes are missing. What a probe does is of no matter, so an unknown one is there."""
    if outer.hidden:
        yield unknown(outer.path)
        return
    missing = [name for name in ("livenessProbe", "readinessProbe") if not every(outer, name)[0].value]
    if missing:
        yield violation(f"{outer.path}.{missing[0]}", f"the container has no {' and no '.join(missing)}")


@decides("AVL-03", _DISRUPTION_BUDGET)
def disruption_budgets_let_a_pod_go(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    most, least = at(resource.inputs, "spec.maxUnavailable"), at(resource.inputs, "spec.minAvailable")
    if number(str(most.value).rstrip("%")) == 0:
        yield violation(most.path, f"{most.value} pods may be unavailable, so that none can be evicted")
    elif str(least.value) == "100%":
        yield violation(least.path, "all pods must stay available, so that none can be evicted")
    elif most.unknown or least.unknown:
        yield unknown(most.path if most.unknown else least.path)
    elif not least.absent:
        for workload, sure in _chosen(inspection).get(resource.urn, ()):
            if sure:
                yield from _leaves_some(least, workload, inspection)


def _leaves_some(least: Value, workload: Resource, inspection: Inspection) -> Iterator[Answer]:
    replicas, share = _replicas(workload, "maxReplicas", inspection), re.fullmatch(r"(\d+)%", str(least.value))
    if replicas is None:
        yield unknown(least.path, f"the replicas of {workload.name} are known only after an up")
        return
    kept = int(share[1]) / 100 * replicas if share else number(least.value) or 0
    # a share is rounded up
    if 0 < replicas < kept + 1:
        message = f"{least.value} of {replicas:g} pods of {workload.name} must stay, so that none can be evicted"
        yield violation(least.path, message)


@decides("AVL-03", _AUTOSCALER)
def workloads_have_one_autoscaler(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for other in _scalers(inspection).get(_target(resource, inspection), ()):
        if other is not resource:
            yield violation("spec.scaleTargetRef", f"{other.name} scales the same workload")


@decides("AVL-03", _WORKLOADS[0])
@production_only
def replicated_deployments_have_a_disruption_budget(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    replicas = _replicas(resource, "minReplicas", inspection)
    answers = [sure for _, sure in _chosen(inspection).get(resource.urn, ())]
    if True in answers or (replicas is not None and replicas < 2):
        return
    if replicas is None:
        yield unknown("spec.replicas")
    elif answers or not inspection.complete:
        yield unknown("spec.replicas", "whether a disruption budget selects its pods is not known")
    else:
        yield violation("spec.replicas", f"{replicas:g} replicas, and no disruption budget selects their pods")


@lru_cache(maxsize=1)
def _chosen(inspection: Inspection) -> Mapping[str, Sequence[tuple[Resource, bool]]]:
    """Return, by the URN of each disruption budget, the workloads that it selects or may select; and the reverse.

    Only those with a label of the budget are compared: all with all would take the square of their number.
    """
    workloads = inspection.of(*_WORKLOADS)
    labelled: dict[Any, list[Resource]] = {}
    for workload in workloads:
        for label in _labels(workload):
            labelled.setdefault(label, []).append(workload)
    found: dict[str, list[tuple[Resource, bool]]] = {}
    for budget in inspection.of(_DISRUPTION_BUDGET):
        selector = at(budget.inputs, "spec.selector")
        if selector.absent:
            continue  # it selects nothing; an empty one selects all (policy/v1)
        selects, space = read(selector.value).selects, _namespace(budget)
        wanted = at(budget.inputs, "spec.selector.matchLabels").value
        pairs = _pairs(wanted) if isinstance(wanted, Mapping) else []
        candidates = [[*labelled.get(pair, ()), *labelled.get(UNKNOWN, ())] for pair in pairs]
        for workload in min(candidates, key=len, default=workloads):
            answer = _within(space, workload, next((selects(pod.labels) for pod in pods(workload)), None))
            if answer is not False:
                found.setdefault(budget.urn, []).append((workload, answer is True))
                found.setdefault(workload.urn, []).append((budget, answer is True))
    return found


def _labels(workload: Resource) -> Sequence[Any]:
    """Return the labels of a workload's pods as pairs; of those that are not all known, `UNKNOWN`."""
    labels: Any = next((pod.labels for pod in pods(workload)), {})
    return [UNKNOWN] if labels == UNKNOWN or UNKNOWN in labels.values() else _pairs(labels)


def _pairs(labels: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, value) for key, value in labels.items() if isinstance(value, str) and value != UNKNOWN]


def _within(space: Any, workload: Resource, answer: bool | None) -> bool | None:
    """Return an answer for a workload if that is in a namespace, else False; None where it may be."""
    if answer is False:
        return False
    spaces = [space, _namespace(workload)]
    if spaces[0] == spaces[1]:
        return answer
    return None if UNKNOWN in spaces else False


def _namespace(resource: Resource) -> Any:
    return at(resource.inputs, "metadata.namespace").value or "default"


def _replicas(workload: Resource, bound: str, inspection: Inspection) -> float | None:
    """Return how many pods a workload has: what it says, else what this bound of its autoscaler says, else one."""
    said = [at(workload.inputs, "spec.replicas")]
    said += [at(scaler.inputs, f"spec.{bound}") for scaler in _scalers(inspection).get(workload.urn, ())]
    replicas = next((each for each in said if not each.absent), None)
    return 1 if replicas is None else number(replicas.value)


@lru_cache(maxsize=1)
def _scalers(inspection: Inspection) -> Mapping[Any, Sequence[Resource]]:
    """Return the autoscalers by what they scale, where that is known."""
    found: dict[Any, list[Resource]] = {}
    for scaler in inspection.of(_AUTOSCALER):
        target = _target(scaler, inspection)
        if target is not None:
            found.setdefault(target, []).append(scaler)
    return found


def _target(scaler: Resource, inspection: Inspection) -> Any:
    """Return what an autoscaler scales: a workload's URN, else namespace, kind and name; None if it is not known."""
    kind, name = (at(scaler.inputs, f"spec.scaleTargetRef.{key}") for key in ("kind", "name"))
    workloads = inspection.referred(scaler, name, "metadata.name", f"kubernetes:*:{kind.value}")
    here = [each.urn for each in workloads if _namespace(each) == _namespace(scaler)]
    if here:
        return here[0]
    return None if name.unknown else (str(_namespace(scaler)), str(kind.value), str(name.value))


@decides("AVL-04", "aws:sagemaker/featureGroup:FeatureGroup", "aws:sagemaker/modelPackageGroup:ModelPackageGroup")
@production_only
def stores_of_sagemaker_are_protected(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    if not resource.protect:
        yield violation("protect", "nothing keeps it from being deleted", remedy="ResourceOptions(protect=True)")


@decides(
    "AVL-04",
    "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore",
    "gcp:vertex/aiFeatureStore:AiFeatureStore",
)
def feature_stores_of_vertex_keep_what_they_hold(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    yield from _not_forced(at(resource.inputs, "forceDestroy"))


@decides("AVL-04", DATASET)
def feature_datasets_keep_their_tables(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    named = "feature" in str(at(resource.inputs, "datasetId").value).lower()
    if named or resource.urn in _read(inspection):
        yield from _not_forced(at(resource.inputs, "deleteContentsOnDestroy"))


def _not_forced(switch: Value) -> Iterator[Answer]:
    if switch.hidden:
        yield unknown(switch.path)
    elif is_true(switch.value):
        yield violation(switch.path, "what it holds is deleted with it", remedy=f"{switch.path}: false")


@lru_cache(maxsize=1)
def _read(inspection: Inspection) -> frozenset[str]:
    """Return the datasets, as URNs, of which a feature group or view reads a table."""
    return frozenset(
        dataset.urn
        for feature in inspection.of("gcp:vertex/aiFeature*")
        for path in ("bigQuery.bigQuerySource.inputUri", "bigQuerySource.uri")
        for dataset in datasets(feature, at(feature.inputs, path), inspection)
    )


@decides("AVL-04", f"{_AZURE}:Registry", f"{_AZURE}:Workspace")
@production_only
def stores_of_azure_are_protected(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    kind = at(resource.inputs, "kind")
    workspace = matches(resource.type, f"{_AZURE}:Workspace")
    if resource.protect or (workspace and not kind.unknown and str(kind.value).lower() != "featurestore"):
        return
    answers = _locked(f"{_AZURE}:{'Workspace' if workspace else 'Registry'}", inspection)[resource.urn]
    if True in answers:
        return
    if workspace and kind.unknown:
        yield unknown(kind.path, "whether it is a feature store is known only after an up")
    elif answers or not inspection.complete:
        yield unknown("protect", "whether a lock is on it is not known")
    else:
        yield violation("protect", "neither protected nor locked", remedy="ResourceOptions(protect=True)")


@lru_cache(maxsize=2)
def _locked(token: str, inspection: Inspection) -> Mapping[str, set[bool]]:
    """Return, by URN, whether a lock keeps a resource of Azure from being deleted; False where that is not sure."""
    locks = [(lock, _scope(lock), at(lock.inputs, "level")) for lock in inspection.of(*_LOCKS)]
    levels = ("CanNotDelete", "ReadOnly", UNKNOWN)
    held = [(lock, scope, not level.unknown) for lock, scope, level in locks if level.value in levels]
    return said_of_each(token, held, inspection)


def _scope(lock: Resource) -> Value:
    """Return the ID that a lock is on; of one at a resource's level, its last two pieces."""
    if lock.type.endswith("ByScope"):
        return at(lock.inputs, "scope")
    kind, name = at(lock.inputs, "resourceType"), at(lock.inputs, "resourceName")
    return name if name.unknown else Value(name.path, f"/{kind.value}/{name.value}")

"""What scales has an upper bound: COST-09 replicas and nodes, COST-15 feature stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every, is_false, number
from mlinfra.resources import Resource
from mlinfra_policies.families.cost.amounts import above, compute_is

_NODES: Mapping[str, Sequence[str]] = {
    "gcp:vertex/aiFeatureOnlineStore:AiFeatureOnlineStore": ("bigtable.autoScaling.maxNodeCount",),
    "gcp:vertex/aiFeatureStore:AiFeatureStore": (
        "onlineServingConfig.fixedNodeCount",
        "onlineServingConfig.scaling.maxNodeCount",
    ),
}
_FEAST = "kubernetes:feast.dev/*:FeatureStore"


@decides("COST-09", "aws:sagemaker/endpointConfiguration:EndpointConfiguration")
def variants_are_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each variant that SageMaker scales has an upper bound."""
    for variant in [
        *every(resource.inputs, "productionVariants[]"),
        *every(resource.inputs, "shadowProductionVariants[]"),
    ]:
        scaling = at(variant, "managedInstanceScaling")
        off = str(at(scaling, "status").value).upper() == "DISABLED"
        if not scaling.absent and not off:
            yield from _bounded(at(scaling, "maxInstanceCount"), inspection)


@decides("COST-09", "aws:appautoscaling/target:Target")
def target_is_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The autoscaling of an endpoint has an upper bound."""
    service = at(resource.inputs, "serviceNamespace")
    if service.absent or service.unknown or service.value == "sagemaker":
        yield from _bounded(at(resource.inputs, "maxCapacity"), inspection)


@decides("COST-09", "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool")
def pool_is_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A pool has an upper bound; where nothing is said it is the lower one."""
    most, least = (at(resource.inputs, f"dedicatedResources.{name}ReplicaCount") for name in ("max", "min"))
    bound = least if most.absent else most
    if not bound.absent:
        yield from _bounded(bound, inspection)


@decides("COST-09", "gcp:vertex/aiPersistentResource:AiPersistentResource")
def persistent_pools_are_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each pool that scales has an upper bound."""
    for pool in every(resource.inputs, "resourcePools[]"):
        if not at(pool, "autoscalingSpec").absent:
            yield from _bounded(at(pool, "autoscalingSpec.maxReplicaCount"), inspection)


@decides("COST-09", "azure-native:machinelearningservices:Compute")
def cluster_is_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A cluster always scales; the provider demands an upper bound."""
    cluster = compute_is(resource, "AmlCompute")
    bound = at(resource.inputs, "properties.properties.scaleSettings.maxNodeCount")
    if cluster is None:
        yield unknown("properties.computeType")
    elif cluster and not bound.absent:
        yield from _bounded(bound, inspection)


@decides("COST-09", "azure-native:machinelearningservices:OnlineDeployment")
def deployment_is_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A deployment that scales by utilization has an upper bound; the provider's default is one instance."""
    bound = at(resource.inputs, "properties.scaleSettings.maxInstances")
    kind = at(resource.inputs, "properties.scaleSettings.scaleType").value
    if kind != "Default" and not bound.absent:
        yield from _bounded(bound, inspection)


@decides("COST-09", "azure-native:monitor:AutoscaleSetting", "azure-native:insights:AutoscaleSetting")
def autoscale_setting_is_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each profile of an autoscale setting has an upper bound, which is a text."""
    if not is_false(at(resource.inputs, "enabled").value):
        for profile in every(resource.inputs, "profiles[]"):
            yield from _bounded(at(profile, "capacity.maximum"), inspection)


@decides("COST-09", "kubernetes:serving.kserve.io/v1beta1:InferenceService")
def service_is_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Each component of a service has an upper bound, which Knative does not have where nothing or 0 is said."""
    notes = at(resource.inputs, "metadata.annotations")
    mode = at(notes, "['serving.kserve.io/deploymentMode']")
    for component in ("predictor", "transformer", "explainer"):
        place = at(resource.inputs, f"spec.{component}")
        bound = at(place, "maxReplicas")
        if place.absent or (mode.value in ("RawDeployment", "Standard") and _says_nothing(bound)):
            continue
        if mode.unknown and _says_nothing(bound):
            yield unknown(mode.path, "whether Knative runs it is not known, and for Knative it has no upper bound")
        else:
            yield from _bounded(bound, inspection)


@decides("COST-09", "kubernetes:autoscaling/*:HorizontalPodAutoscaler")
def pod_autoscaler_is_bounded(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An autoscaler of pods has an upper bound."""
    yield from _bounded(at(resource.inputs, "spec.maxReplicas"), inspection)


@decides("COST-15", "aws:sagemaker/featureGroup:FeatureGroup")
def feature_group_capacity(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A feature group is on demand, or provisioned within the limit."""
    mode = at(resource.inputs, "throughputConfig.throughputMode")
    if mode.unknown:
        yield unknown(mode.path)
    elif mode.value != "OnDemand":
        limit = inspection.settings.feature_store_max_units
        for name in ("Read", "Write"):
            units = at(resource.inputs, f"throughputConfig.provisioned{name}CapacityUnits")
            yield from above(units, limit, f"{limit:g} units")


@decides("COST-15", *_NODES)
def online_store_nodes(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An online store has no more nodes than the limit."""
    limit = inspection.settings.feature_store_max_nodes
    for path in _NODES[resource.type]:
        yield from above(at(resource.inputs, path), limit, f"{limit:g} nodes")


@decides("COST-15", _FEAST)
def feast_replicas(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A feature server scales to no more replicas than the limit; without autoscaling they are fixed."""
    limit = inspection.settings.feature_store_max_nodes
    for path in ("spec.services.scaling.autoscaling.maxReplicas", "spec.replicas"):
        yield from above(at(resource.inputs, path), limit, f"{limit:g} replicas")


def _bounded(bound: Value, inspection: Inspection) -> Iterator[Answer]:
    limit = inspection.settings.max_replicas
    if _says_nothing(bound):
        yield violation(bound.path, f"autoscaling has no upper bound; at most {limit} are wanted")
    yield from above(bound, limit)


def _says_nothing(bound: Value) -> bool:
    return bound.absent or number(bound.value) == 0

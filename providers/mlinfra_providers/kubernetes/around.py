"""What all parts of an environment share in its cluster: the namespace with its bounds, and who may shift.

A namespace that the environment names is taken as it is: its quota and limits are its owner's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi
import pulumi_kubernetes as k8s

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.realize import Surroundings
from mlinfra_providers.kubernetes.labelled import name
from mlinfra_providers.kubernetes.naming import labels, metadata, namespace_name, options
from mlinfra_providers.kubernetes.network import closed
from mlinfra_providers.kubernetes.pods import GPU
from mlinfra_providers.tags import owner_of_all

FLEETS = 2
"""During a rollout both releases run."""
ROOM = Compute(cpus=16, memory_gib=32)
"""In a quota, for servers of features and models, for drift runs and for init steps."""
SHIFTER = "mlinfra-shifter"
"""Who a rollout runs as: `mlinfra tick` needs no more than this account may."""


@dataclass(frozen=True)
class Around:
    """What the parts get; `made` must be there before anything else is."""

    provider: k8s.Provider
    namespace: str
    made: Sequence[pulumi.Resource]


def surround(parts: Sequence[ResolvedPart], links: Links) -> Links:
    """Register what the parts share."""
    environment = links.environment
    component = Surroundings(environment)
    provider = k8s.Provider(
        environment.name,
        context=environment.context,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        opts=pulumi.ResourceOptions(parent=component),
    )
    opts = pulumi.ResourceOptions(parent=component, provider=provider)
    namespace, tags = namespace_name(environment), labels(environment, owner=owner_of_all(parts))
    made: list[pulumi.Resource] = []
    if environment.namespace is None:
        made.append(_namespace(environment, parts, namespace, tags, opts))
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=made))
        _bounds(environment, parts, namespace, tags, opts)
    ours = (
        {} if environment.namespace is None else {"managed-by": tags["managed-by"], "environment": tags["environment"]}
    )
    closed("mlinfra-closed", namespace, tags, ours, opts)
    _shifter(namespace, tags, opts, loads=any(isinstance(part.part, FeatureStore) for part in parts))
    return replace(links, around=Around(provider, namespace, made))


def account(part: ResolvedPart, links: Links, purpose: str) -> str:
    """Register the identity of a part's pods, which may ask the API nothing; return its name."""
    called = name(part.part, purpose)
    k8s.core.v1.ServiceAccount(
        name_in_state(part, purpose),
        metadata=metadata(part, links, called),
        automount_service_account_token=False,
        opts=options(links),
    )
    return called


def name_in_state(part: ResolvedPart, *pieces: str) -> str:
    """Return the name of a resource in the state: it follows the part's own, so that a rename finds it again."""
    return "-".join([part.part.name, *pieces])


def _namespace(
    environment: Environment,
    parts: Sequence[ResolvedPart],
    called: str,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> k8s.core.v1.Namespace:
    """Register the namespace, protected, for claims go with it. Only restricted pods are let in.

    Beside a feature store those of the baseline standard, too: the Feast operator says nothing of what its containers
    may do (feast-operator, services.go). What is not restricted is still told.
    """
    stores = any(isinstance(part.part, FeatureStore) for part in parts)
    security = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    if stores:
        security["pod-security.kubernetes.io/enforce"] = "baseline"
    return k8s.core.v1.Namespace(
        environment.name,
        metadata=k8s.meta.v1.ObjectMetaArgs(name=called, labels={**tags, **security}),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=True)),
    )


def _bounds(
    environment: Environment,
    parts: Sequence[ResolvedPart],
    namespace: str,
    tags: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Register the most that all parts take together, and what a container gets that asks for nothing."""
    needs = [*_needs(parts), ROOM]
    hard = {
        "requests.cpu": str(sum(need.cpus for need in needs)),
        "requests.memory": f"{sum(round(need.memory_gib * 1024) for need in needs)}Mi",
        "limits.memory": f"{sum(round(need.memory_gib * 1024) for need in needs)}Mi",
        f"requests.{GPU}": str(sum(need.gpus for need in needs)),
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    inside = k8s.meta.v1.ObjectMetaArgs(name="mlinfra", namespace=namespace, labels=dict(tags))
    k8s.core.v1.ResourceQuota(
        environment.name, metadata=inside, spec=k8s.core.v1.ResourceQuotaSpecArgs(hard=hard), opts=opts
    )
    limit = k8s.core.v1.LimitRangeItemArgs(
        type="Container",
        default={"cpu": "1", "memory": "1Gi"},
        default_request={"cpu": "100m", "memory": "256Mi"},
    )
    k8s.core.v1.LimitRange(
        environment.name, metadata=inside, spec=k8s.core.v1.LimitRangeSpecArgs(limits=[limit]), opts=opts
    )


def _needs(parts: Sequence[ResolvedPart]) -> list[Compute]:
    found = []
    for item in parts:
        part = item.part
        if isinstance(part, Endpoint):
            served = [deployment.part for deployment in item.deployments] or [part]
            for each in (served * FLEETS)[:FLEETS]:
                assert isinstance(each, Endpoint)
                found += [each.compute] * each.scale.max
        elif isinstance(part, TrainingJob):
            found.append(part.compute)
    return found


def _shifter(namespace: str, tags: Mapping[str, str], opts: pulumi.ResourceOptions, *, loads: bool) -> None:
    """Register who may look at what serves, and change routes; with `loads` also load feature stores, and no more."""
    inside = k8s.meta.v1.ObjectMetaArgs(name=SHIFTER, namespace=namespace, labels=dict(tags))
    rule, look = k8s.rbac.v1.PolicyRuleArgs, ["get", "list"]
    loading = [
        rule(api_groups=["feast.dev"], resources=["featurestores"], verbs=look),
        rule(api_groups=["batch"], resources=["jobs"], verbs=[*look, "create", "delete"]),
        rule(api_groups=[""], resources=["pods/log"], verbs=["get"]),
    ]
    k8s.core.v1.ServiceAccount(SHIFTER, metadata=inside, automount_service_account_token=False, opts=opts)
    k8s.rbac.v1.Role(
        SHIFTER,
        metadata=inside,
        rules=[
            rule(api_groups=["serving.kserve.io"], resources=["inferenceservices"], verbs=look),
            rule(api_groups=["apps"], resources=["deployments"], verbs=look),
            rule(api_groups=[""], resources=["pods", "events"], verbs=look),
            rule(api_groups=["gateway.networking.k8s.io"], resources=["httproutes"], verbs=[*look, "update"]),
            *(loading if loads else ()),
        ],
        opts=opts,
    )
    k8s.rbac.v1.RoleBinding(
        SHIFTER,
        metadata=inside,
        role_ref=k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=SHIFTER),
        subjects=[k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=SHIFTER, namespace=namespace)],
        opts=opts,
    )

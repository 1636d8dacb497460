"""Who talks with whom: nobody, but for what a part needs. NetworkPolicies add up, so a team can allow more beside.

A policy names no host: stores and databases are reached in namespaces that say by a label that they hold them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_kubernetes as k8s

from mlinfra.adapters import Links, ResolvedPart
from mlinfra_providers.kubernetes.naming import metadata, options

GATEWAYS = ("envoy-gateway-system", "istio-ingress", "istio-system", "kserve")
"""The namespaces in which gateways run."""
MONITORING = "monitoring"
"""The namespace of the Prometheus operator's Prometheus."""
ARTIFACTS, DATABASES = "mlinfra/artifacts", "mlinfra/databases"
"""Labels of namespaces that hold the artifact store, and the databases."""
_NAME = "kubernetes.io/metadata.name"
_PEER = k8s.networking.v1.NetworkPolicyPeerArgs
_PORT = k8s.networking.v1.NetworkPolicyPortArgs
_SELECTOR = k8s.meta.v1.LabelSelectorArgs


def named(*namespaces: str) -> k8s.networking.v1.NetworkPolicyPeerArgs:
    """Return all pods of some namespaces."""
    requirement = k8s.meta.v1.LabelSelectorRequirementArgs(key=_NAME, operator="In", values=list(namespaces))
    return _PEER(namespace_selector=_SELECTOR(match_expressions=[requirement]))


def holding(what: str) -> k8s.networking.v1.NetworkPolicyPeerArgs:
    """Return all pods of the namespaces that carry a label."""
    return _PEER(namespace_selector=_SELECTOR(match_labels={what: "true"}))


def beside(labels: Mapping[str, str]) -> k8s.networking.v1.NetworkPolicyPeerArgs:
    """Return the pods of the same namespace that carry some labels."""
    return _PEER(pod_selector=_SELECTOR(match_labels=dict(labels)))


def same_namespace() -> k8s.networking.v1.NetworkPolicyPeerArgs:
    """Return all pods beside."""
    return _PEER(pod_selector=_SELECTOR())


def ports(*numbers: int, protocol: str = "TCP") -> list[k8s.networking.v1.NetworkPolicyPortArgs]:
    """Return ports of one protocol."""
    return [_PORT(port=number, protocol=protocol) for number in numbers]


def part_policy(
    part: ResolvedPart,
    links: Links,
    called: str,
    selected: Mapping[str, str],
    *,
    from_: Sequence[k8s.networking.v1.NetworkPolicyPeerArgs] = (),
    on: int | None = None,
    to: Sequence[k8s.networking.v1.NetworkPolicyPeerArgs] = (),
) -> k8s.networking.v1.NetworkPolicy:
    """Register what the pods with some labels may: be asked `on` a port, and ask others. Names are asked of DNS."""
    rule_in, rule_out = k8s.networking.v1.NetworkPolicyIngressRuleArgs, k8s.networking.v1.NetworkPolicyEgressRuleArgs
    return k8s.networking.v1.NetworkPolicy(
        called,
        metadata=metadata(part, links, called),
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=_SELECTOR(match_labels=dict(selected)),
            policy_types=["Ingress", "Egress"],
            ingress=[rule_in(from_=list(from_), ports=ports(on))] if on is not None else [],
            egress=[dns(), *([rule_out(to=list(to))] if to else [])],
        ),
        opts=options(links),
    )


def dns() -> k8s.networking.v1.NetworkPolicyEgressRuleArgs:
    """Return the way to the cluster's names."""
    peer = _PEER(
        namespace_selector=_SELECTOR(match_labels={_NAME: "kube-system"}),
        pod_selector=_SELECTOR(match_labels={"k8s-app": "kube-dns"}),
    )
    return k8s.networking.v1.NetworkPolicyEgressRuleArgs(to=[peer], ports=[*ports(53), *ports(53, protocol="UDP")])


def closed(
    called: str, namespace: str, labels: Mapping[str, str], selected: Mapping[str, str], opts: pulumi.ResourceOptions
) -> None:
    """Register that nothing is allowed: of all pods, or of those with some labels."""
    k8s.networking.v1.NetworkPolicy(
        called,
        metadata=k8s.meta.v1.ObjectMetaArgs(name=called, namespace=namespace, labels=dict(labels)),
        spec=k8s.networking.v1.NetworkPolicySpecArgs(
            pod_selector=_SELECTOR(match_labels=dict(selected)) if selected else _SELECTOR(),
            policy_types=["Ingress", "Egress"],
        ),
        opts=opts,
    )

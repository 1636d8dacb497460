"""NET-01 on Kubernetes: network policies limit whom the pods of a model may call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, every
from mlinfra.resources import Resource
from mlinfra_policies import namespaces
from mlinfra_policies.demands import hidden
from mlinfra_policies.families.network.exposure import any_address
from mlinfra_policies.network_policies import NetworkPolicy, network_policies
from mlinfra_policies.pods import pods

_PATH = "metadata.namespace"


@dataclass(frozen=True)
class _Policy:
    """What a network policy does to some pods; None where it is not known."""

    name: str
    governs: bool | None
    """Whether it selects the pods and limits whom they may call, however little."""
    free: bool | None
    """Whether what it allows is everything."""


@decides(
    "NET-01",
    "kubernetes:serving.kserve.io/*:InferenceService",
    "kubernetes:serving.kserve.io/*:LLMInferenceService",
)
def egress_of_a_service(service: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The pods of every component are selected by a policy on egress, and none of these allows everything."""
    for pod in pods(service):
        here = namespaces.of(service, inspection)
        found = [
            _Policy(policy.resource.name, _all([there, policy.selects(pod, service, inspection), on_egress]), free)
            for policy, on_egress, free in _policies(inspection)
            if (there := namespaces.alike(policy.namespace, here)) is not False
        ]
        yield from _judged(found, inspection.complete)


def _judged(policies: list[_Policy], complete: bool) -> Iterator[Answer]:
    free = [policy.name for policy in policies if policy.governs and policy.free]
    perhaps = [policy for policy in policies if policy.governs is not False and policy.free is not True]
    if free:
        yield violation(_PATH, f"network policy {free[0]} allows the pods to call everybody")
    elif not perhaps and complete:
        yield violation(_PATH, "no network policy of the plan limits whom the pods may call")
    elif not perhaps:
        yield unknown(_PATH, "no network policy that limits whom the pods may call is shown")
    elif not any(policy.governs for policy in policies):
        yield unknown(_PATH, f"network policy {perhaps[0].name} may limit whom the pods may call")
    elif any(policy.governs is not False and policy.free is not False for policy in policies):
        yield unknown(_PATH, "a network policy may allow the pods to call everybody")


@lru_cache(maxsize=1)
def _policies(inspection: Inspection) -> Sequence[tuple[NetworkPolicy, bool | None, bool | None]]:
    """Return the network policies that are or may be on egress, whether they are, and whether they allow everything.

    Asked for each service of a plan.
    """
    return [
        (policy, on_egress, _any([_is_free(rule) for rule in every(policy.resource.inputs, "spec.egress[]")]))
        for policy in network_policies(inspection)
        if (on_egress := _is_on_egress(policy.resource)) is not False
    ]


def _is_on_egress(policy: Resource) -> bool | None:
    types = at(policy.inputs, "spec.policyTypes")
    rules = at(policy.inputs, "spec.egress")
    if hidden(types):
        return None
    if not types.value:
        return None if hidden(rules) else bool(rules.value)
    return _any(
        [None if hidden(each) else each.value == "Egress" for each in every(policy.inputs, "spec.policyTypes[]")]
    )


def _is_free(rule: Value) -> bool | None:
    [peers] = every(rule, "to")
    if hidden(peers):
        return None
    if not peers.value:
        return True
    blocks = [block for peer in every(peers, "[]") for block in every(peer, "ipBlock.cidr")]
    return _any([None if hidden(block) else any_address(block.value) for block in blocks])


def _all(answers: list[bool | None]) -> bool | None:
    return False if False in answers else None if None in answers else True


def _any(answers: list[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False

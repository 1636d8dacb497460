"""The network policies of a plan, and whether they select pods."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import at
from mlinfra.resources import Resource
from mlinfra_policies import namespaces
from mlinfra_policies.pods import Pod
from mlinfra_policies.selectors import Selector, read

_TYPE = "kubernetes:networking.k8s.io/v1:NetworkPolicy"


class NetworkPolicy(NamedTuple):
    """A network policy with its namespace, which is None where it is not known."""

    resource: Resource
    namespace: str | Resource | None
    selector: Selector

    def selects(self, pod: Pod, of: Resource, inspection: Inspection) -> bool | None:
        """Whether it selects a pod of a resource in its namespace; None where that is not known."""
        chosen = self.selector.selects(pod.labels)
        if chosen is None and inspection.comes_only_from(self.resource, "spec", of.type):
            return of in inspection.sources(self.resource, "spec")
        return chosen


@lru_cache(maxsize=1)
def network_policies(inspection: Inspection) -> Sequence[NetworkPolicy]:
    """Return the network policies of a plan; of those that do the same in the same namespace, the first.

    Asked for each pod of a plan: its time is that of all pods times these policies.
    """
    found: dict[tuple[str, ...], NetworkPolicy] = {}
    for resource in inspection.of(_TYPE):
        namespace = namespaces.of(resource, inspection)
        place = namespace.urn if isinstance(namespace, Resource) else repr(namespace)
        alike = (place, repr(at(resource.inputs, "spec").value), *resource.property_dependencies.get("spec", ()))
        if alike not in found:
            selector = read(at(resource.inputs, "spec.podSelector").value)
            found[alike] = NetworkPolicy(resource, namespace, selector)
    return list(found.values())

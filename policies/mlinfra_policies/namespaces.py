"""Whether two resources of Kubernetes are in the same namespace, as far as a plan can tell."""

from __future__ import annotations

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import Value, at
from mlinfra.resources import Resource
from mlinfra_policies.demands import hidden, sources

_NAMESPACE = "kubernetes:core/v1:Namespace"


def alike(left: str | Resource | None, right: str | Resource | None) -> bool | None:
    """Whether two namespaces are the same: names, or resources whose names are not known yet."""
    if left is None or right is None:
        return None
    if isinstance(left, str) is isinstance(right, str):
        return left == right
    return None


def of(resource: Resource, inspection: Inspection) -> str | Resource | None:
    """Return a resource's namespace: its name, or the resource that will have one, or None.

    Where the resource says nothing its provider may, and `default` is the namespace of all others.
    """
    said = at(resource.inputs, "metadata.namespace")
    if said.absent:
        provider = inspection.provider_of(resource)
        said = at(provider.inputs, "namespace") if provider else said
        return "default" if said.absent else None if hidden(said) else str(said.value)
    return meant(said, resource, inspection)


def meant(said: Value, resource: Resource, inspection: Inspection) -> str | Resource | None:
    """Return the namespace that an input of a resource means; see `of`."""
    if not hidden(said):
        return str(said.value)
    found = sources(said, resource, inspection, _NAMESPACE)
    if len(found) != 1:
        return None
    name = at(found[0].inputs, "metadata.name")
    return found[0] if hidden(name) or name.absent else str(name.value)

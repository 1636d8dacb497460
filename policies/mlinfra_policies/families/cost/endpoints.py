"""Which endpoints of SageMaker use a configuration, and which autoscaling belongs to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import Value, at, is_unknown
from mlinfra.resources import Resource

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
TARGET = "aws:appautoscaling/target:Target"

Users = Mapping[str, Sequence[Resource]]
"""By URN: the resources that refer to it."""

_found: WeakKeyDictionary[Inspection, tuple[Users, Users]] = WeakKeyDictionary()


def endpoints_of(config: Resource, inspection: Inspection) -> Sequence[Resource]:
    """Return the endpoints of the stack that use a configuration."""
    return _users(inspection)[0].get(config.urn, ())


def configuration_of(endpoint: Resource, inspection: Inspection) -> Resource | None:
    """Return the configuration of the stack that an endpoint uses."""
    pairs = ((urn, user.urn) for urn, users in _users(inspection)[0].items() for user in users)
    return inspection.by_urn(next((urn for urn, user in pairs if user == endpoint.urn), ""))


def targets_of(endpoints: Iterable[Resource], inspection: Inspection) -> list[Resource]:
    """Return the autoscaling targets of endpoints."""
    return [target for endpoint in endpoints for target in _users(inspection)[1].get(endpoint.urn, ())]


def targets_of_variant(variant: Value, endpoints: Iterable[Resource], inspection: Inspection) -> list[Resource]:
    """Return those of one variant, and those of which nobody knows which variant they scale."""
    name = at(variant, "variantName")
    wanted: Sequence[list[Any]] = ([], [name.value])
    targets = targets_of(endpoints, inspection)
    return [target for target in targets if name.absent or name.unknown or _parts(target)[3:] in wanted]


def _users(inspection: Inspection) -> tuple[Users, Users]:
    """Return the endpoints by configuration, and the autoscaling targets by endpoint."""
    if inspection not in _found:
        endpoints, targets = inspection.of(ENDPOINT), inspection.of(TARGET)
        by_configuration = _by_what_they_use(
            ((each, "endpointConfigName", each.inputs.get("endpointConfigName")) for each in endpoints),
            inspection.of(CONFIGURATION),
        )
        by_endpoint = _by_what_they_use(
            ((each, "resourceId", "".join(_parts(each)[1:2])) for each in targets),
            endpoints,
        )
        _found[inspection] = by_configuration, by_endpoint
    return _found[inspection]


def _by_what_they_use(users: Iterable[tuple[Resource, str, Any]], used: Sequence[Resource]) -> Users:
    """Return users, each with its input and the name in it, by what they use: by name, or by dependency."""
    urns = {each.urn for each in used}
    named = {name: each.urn for each in used if isinstance(name := each.inputs.get("name"), str)}
    found: dict[str, list[Resource]] = {}
    for user, input_, name in users:
        meant = [urn for urn in user.property_dependencies.get(input_) or () if urn in urns]
        if not meant and isinstance(name, str) and name in named and not is_unknown(name):
            meant = [named[name]]
        for urn in meant:
            found.setdefault(urn, []).append(user)
    return found


def _parts(target: Resource) -> list[str]:
    """Return the parts of `endpoint/NAME/variant/VARIANT`, which names what a target scales; none where unknown."""
    named = at(target.inputs, "resourceId").value
    return [] if is_unknown(named) else str(named).split("/")

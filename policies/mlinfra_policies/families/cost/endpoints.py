"""Which resources refer to an endpoint or to its configuration: endpoints, autoscaling, deployments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import Value, at, is_unknown
from mlinfra.resources import Resource

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
TARGET = "aws:appautoscaling/target:Target"
ONLINE_ENDPOINT = "azure-native:machinelearningservices:OnlineEndpoint"
ONLINE_DEPLOYMENT = "azure-native:machinelearningservices:OnlineDeployment"


@dataclass(frozen=True)
class _Reference:
    """That resources of type `user` mean one of type `used`: `input_` says what the other one says as `name`."""

    user: str
    input_: str
    used: str
    name: str


_CONFIGURED = _Reference(ENDPOINT, "endpointConfigName", CONFIGURATION, "name")
_SCALED = _Reference(TARGET, "resourceId", ENDPOINT, "name")
_DEPLOYED = _Reference(ONLINE_DEPLOYMENT, "endpointName", ONLINE_ENDPOINT, "endpointName")

Users = Mapping[str, Sequence[Resource]]
"""By URN: the resources that refer to it."""

_found: WeakKeyDictionary[Inspection, dict[_Reference, Users]] = WeakKeyDictionary()


def endpoints_of(config: Resource, inspection: Inspection) -> Sequence[Resource]:
    """Return the endpoints of the stack that use a configuration."""
    return _users(_CONFIGURED, inspection).get(config.urn, ())


def configuration_of(endpoint: Resource, inspection: Inspection) -> Resource | None:
    """Return the configuration of the stack that an endpoint uses."""
    return inspection.by_urn(_configurations(inspection).get(endpoint.urn, ""))


@lru_cache(maxsize=1)
def _configurations(inspection: Inspection) -> Mapping[str, str]:
    """Return the configurations by the endpoints that use them, both as URNs."""
    used = _users(_CONFIGURED, inspection).items()
    return {user.urn: urn for urn, users in used for user in users}


def targets_of(endpoints: Iterable[Resource], inspection: Inspection) -> list[Resource]:
    """Return the autoscaling targets of endpoints."""
    return [target for endpoint in endpoints for target in _users(_SCALED, inspection).get(endpoint.urn, ())]


def targets_of_variant(variant: Value, endpoints: Iterable[Resource], inspection: Inspection) -> list[Resource]:
    """Return those of one variant, and those of which nobody knows which variant they scale."""
    name = at(variant, "variantName")
    wanted: Sequence[list[Any]] = ([], [name.value])
    targets = targets_of(endpoints, inspection)
    if name.absent or name.unknown:
        return targets
    return [target for target in targets if _parts(target.inputs.get("resourceId"))[3:] in wanted]


def deployments_of(endpoint: Resource, inspection: Inspection) -> Sequence[Resource]:
    """Return the deployments of the stack that belong to an online endpoint of Azure ML."""
    return _users(_DEPLOYED, inspection).get(endpoint.urn, ())


def _users(reference: _Reference, inspection: Inspection) -> Users:
    """Return who refers to what, by name or because an input comes from there; looked for once a stack."""
    known = _found.setdefault(inspection, {})
    if reference not in known:
        used = inspection.of(reference.used)
        urns = {each.urn for each in used}
        named = {name: each.urn for each in used if isinstance(name := each.inputs.get(reference.name), str)}
        found: dict[str, list[Resource]] = {}
        for user in inspection.of(reference.user):
            meant = [urn for urn in user.property_dependencies.get(reference.input_) or () if urn in urns]
            value = user.inputs.get(reference.input_)
            name = _parts(value)[1:] if reference is _SCALED else [value]
            if not meant and name and isinstance(name[0], str) and not is_unknown(name[0]):
                meant = [named[name[0]]] if name[0] in named else []
            for urn in meant:
                found.setdefault(urn, []).append(user)
        known[reference] = found
    return known[reference]


def _parts(resource_id: Any) -> list[str]:
    """Return the parts of `endpoint/NAME/variant/VARIANT`, which says what a target scales; none where unknown."""
    return [] if is_unknown(resource_id) else str(resource_id).split("/")

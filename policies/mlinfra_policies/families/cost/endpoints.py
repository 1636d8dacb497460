"""Which endpoints of SageMaker use a configuration, and which autoscaling belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import at, is_unknown
from mlinfra.resources import Resource

ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
TARGET = "aws:appautoscaling/target:Target"


def endpoints_of(config: Resource, inspection: Inspection) -> list[Resource]:
    """Return the endpoints of the stack that use a configuration."""
    return [each for each in inspection.of(ENDPOINT) if config is configuration_of(each, inspection)]


def configuration_of(endpoint: Resource, inspection: Inspection) -> Resource | None:
    """Return the configuration of the stack that an endpoint uses."""
    reference = at(endpoint.inputs, "endpointConfigName")
    return next(iter(inspection.referred(endpoint, reference, "name", CONFIGURATION)), None)


def targets_of(endpoints: Sequence[Resource], variant: Any, inspection: Inspection) -> list[Resource]:
    """Return the autoscaling targets of a variant of endpoints; `endpoint/NAME/variant/VARIANT` names it."""
    return [
        target for target in inspection.of(TARGET) if any(_scales(target, endpoint, variant) for endpoint in endpoints)
    ]


def _scales(target: Resource, endpoint: Resource, variant: Any) -> bool:
    named = at(target.inputs, "resourceId").value
    if is_unknown(named):
        return endpoint.urn in (target.property_dependencies.get("resourceId") or ())
    parts = str(named).split("/")
    return parts[:2] == ["endpoint", at(endpoint.inputs, "name").value] and parts[3:] in ([variant], [])

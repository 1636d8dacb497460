"""COST-04: an endpoint outside production has an end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from mlinfra.policy.inspection import Inspection, plain
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at, is_absent
from mlinfra.resources import Resource
from mlinfra_policies.families.cost.amounts import outside_production, seconds

_DURATION = re.compile(r"(\d+(\.\d+)?[smhdwy])+", re.IGNORECASE)
_PLACES = {"aws": "tags", "gcp": "labels", "azure-native": "tags", "kubernetes": "metadata.annotations"}


@decides(
    "COST-04",
    "aws:sagemaker/endpoint:Endpoint",
    "gcp:vertex/aiEndpoint:AiEndpoint",
    "azure-native:machinelearningservices:OnlineEndpoint",
    "kubernetes:serving.kserve.io/v1beta1:InferenceService",
    "kubernetes:serving.kserve.io/v1alpha1:LLMInferenceService",
)
def endpoint_expires(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """An endpoint outside production says until when it is wanted."""
    yield from outside_production(resource, inspection, missing_expiry(resource, inspection))


def missing_expiry(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Yield where no tag, label or annotation says until when a resource is wanted: a date or a duration."""
    place = _PLACES[resource.type.partition(":")[0]]
    tags, complete = inspection.known_tags(resource)
    annotations = at(resource.inputs, "metadata.annotations")
    notes = annotations.value if isinstance(annotations.value, Mapping) else {}
    names = {plain(name) for name in inspection.settings.ttl_tags}
    pairs = [*tags.items(), *((plain(name), value) for name, value in notes.items())]
    said = [value for name, value in pairs if name in names and not is_absent(value)]
    if any(_is_moment(value) for value in said):
        return
    if not complete or annotations.hidden or any(Value("", value).hidden for value in said):
        yield unknown(place)
    elif said:
        yield violation(place, f"{said[0]!r} is neither a date nor a duration such as 2027-01-31, 72h, 7d or P7D")
    else:
        yield violation(place, f"nothing says until when it is wanted; {inspection.settings.ttl_tags[0]} would")


def _is_moment(value: Any) -> bool:
    text = str(value).strip().upper()
    if text.startswith("P"):
        return seconds(text) is not None
    if _DURATION.fullmatch(text):
        return True
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            read(text)
        except ValueError:
            continue
        return True
    return False

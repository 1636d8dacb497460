"""COST-17: machine learning runs where power is clean, as far as a team says where that is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import Value, at
from mlinfra.resources import Resource
from mlinfra_policies.ml_types import LOCATED

_PLACES = ("location", "region")
_OF_PROVIDERS = ("region", "location")


@decides("COST-17", *LOCATED)
def region_is_low_carbon(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The region of a resource, its own or its provider's, is on the list."""
    wanted = inspection.settings.low_carbon_regions
    if wanted is None:
        return
    found = _region(resource, inspection)
    if found.hidden or found.absent:
        yield unknown(found.path, "the region is not known")
    elif _plain(found.value) not in {_plain(region) for region in wanted}:
        yield violation(found.path, f"is {found.value}; preferred are {', '.join(wanted)}")


def _region(resource: Resource, inspection: Inspection) -> Value:
    """Return the region that a resource names, else that of its provider; a zone counts as its region."""
    own = [at(resource.inputs, name) for name in _PLACES]
    provider = inspection.provider_of(resource)
    theirs = [at(provider.inputs, name) for name in _OF_PROVIDERS] if provider else []
    return next((each for each in [*own, *theirs] if not each.absent), own[resource.type.startswith("aws:")])


def _plain(region: object) -> str:
    return re.sub(r"(?<=\d)-[a-z]$", "", str(region).lower().replace(" ", ""))

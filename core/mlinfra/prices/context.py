"""What a price function may look at: the other resources, regions, and the usage that was stated."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.values import at
from mlinfra.prices.registry import AmountNotKnown, NotKnown, Quantity
from mlinfra.resources import Resource

if TYPE_CHECKING:
    from mlinfra.prices.usage import UsageByName

T = TypeVar("T")

ASSUMED_REGIONS = {"aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}
"""Where prices are taken from when nothing says where a resource is; what is made of this is labelled assumed."""

_INPUTS = ("region", "location")
_ZONES = ("availabilityZone", "zone")
_GROUP = "azure-native:resources:ResourceGroup"


@dataclass(frozen=True)
class Region:
    """Where a resource is; `assumed` where nothing says so."""

    name: str
    assumed: bool = False


class Context:
    """The stack that is priced, and the usage that is stated."""

    def __init__(self, inspection: Inspection, usage: UsageByName | None = None) -> None:
        self.inspection = inspection
        self.usage = usage or {}
        self.asked: set[tuple[str, str]] = set()
        """Which fields of which usage the prices have asked for."""
        self._once: dict[Any, Any] = {}

    def once(self, make: Callable[[Context], T]) -> T:
        """Return what a function makes of this context, made once: an index that many resources look things up in."""
        if make not in self._once:
            self._once[make] = make(self)
        found: T = self._once[make]
        return found

    def region(self, resource: Resource) -> Region:
        """Return where a resource is: by itself, by its provider, by the stack's settings, by its group, else assumed.

        Raises:
            NotKnown: it is known only after an `up`.
        """
        word = resource.type.partition(":")[0]
        provider = self.inspection.provider_of(resource) or self._default_provider(word)
        for inputs in (resource.inputs, provider.inputs if provider else {}, self._settings(word)):
            for name in (*_INPUTS, *_ZONES):
                value = at(inputs, name)
                if value.unknown:
                    if (group := self._group(resource)) is not None:
                        return self.region(group)
                    raise NotKnown(f"the region is known only after an up ({name})")
                if isinstance(value.value, str) and value.value:
                    return Region(_plain(value.value, zone=name in _ZONES))
        if (group := self._group(resource)) is not None:
            return self.region(group)
        return Region(ASSUMED_REGIONS.get(word.removesuffix("-native"), ""), assumed=True)

    def stated(self, resource: Resource, field: str) -> Decimal | None:
        """Return what the user states about a resource's load: a field of `Usage`, by its part or its own name."""
        for name in (self.inspection.resources.part_of(resource), resource.name):
            usage = self.usage.get(name) if name else None
            value = getattr(usage, field) if usage is not None else None
            if name is not None and value is not None:
                self.asked.add((name, field))
                return Decimal(repr(value))
        return None

    def where_stated(self, resource: Resource, field: str) -> str:
        """Return where in an environment's file one states a field of a resource's usage."""
        return f"usage.{self.inspection.resources.part_of(resource) or resource.name}.{field}"

    def replicas(self, resource: Resource, low: Decimal, high: Decimal) -> tuple[Quantity, str]:
        """Return between how many replicas there are, likely as many as is stated, and what was assumed.

        Raises:
            AmountNotKnown: what is stated is not between the two.
        """
        if low == high:
            return Quantity(low, low, high), ""
        stated = self.stated(resource, "replicas")
        where = self.where_stated(resource, "replicas")
        if stated is None:
            return Quantity(low, low, high), f"the minimum of {_short(low)} to {_short(high)} replicas; state {where}"
        if not low <= stated <= high:
            raise AmountNotKnown(f"{where} is {stated}, and there are {_short(low)} to {_short(high)}")
        return Quantity(low, stated, high), ""

    def load(self, resource: Resource, field: str) -> tuple[Quantity, str]:
        """Return the load that is stated, else none, and then what was assumed."""
        stated = self.stated(resource, field)
        if stated is None:
            return Quantity(Decimal(0), Decimal(0), Decimal(0)), f"none; state {self.where_stated(resource, field)}"
        return Quantity(stated, stated, stated), ""

    def refer_to(self, resource: Resource, path: str, token: str, name_path: str) -> Sequence[Resource] | None:
        """Return the resources of type `token` that the value at a top-level input refers to, by dependency or by
        name; None where it refers to something that is not known."""
        value = at(resource.inputs, path)
        found = [source for source in self.inspection.sources(resource, path) if source.type == token]
        if found or value.absent:
            return found
        if value.unknown:
            return None
        return self.inspection.named(value.value, name_path, token)

    def _group(self, resource: Resource) -> Resource | None:
        """Return the resource group of Azure whose location a resource has, unless its location is from elsewhere."""
        path = "location" if resource.property_dependencies.get("location") else "resourceGroupName"
        found = self.inspection.referred(resource, at(resource.inputs, path), "resourceGroupName", _GROUP)
        return found[0] if len(found) == 1 and found[0] is not resource else None

    def _default_provider(self, word: str) -> Resource | None:
        """Return the only provider of a package, as a state holds it where a preview does not."""
        found = self.inspection.of(f"pulumi:providers:{word}")
        return found[0] if len(found) == 1 and found[0].name.startswith("default") else None

    def _settings(self, word: str) -> Mapping[str, str]:
        config = self.inspection.resources.config
        return {name: config.get(f"{word}:{name}", "") for name in (*_INPUTS, *_ZONES)}


def _short(number: Decimal) -> str:
    return f"{number.quantize(Decimal('0.01')).normalize():f}"


def _plain(region: str, *, zone: bool) -> str:
    """Return a region as price tables write it: without capitals and blanks, and without the letter of a zone."""
    name = re.sub(r"\s", "", region).lower()
    return re.sub(r"-?[a-z]$", "", name) if zone else name

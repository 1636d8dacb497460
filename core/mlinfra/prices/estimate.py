"""The estimate: what a stack costs a month and once, item by item, with everything that has no price named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from decimal import Context as DecimalContext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlinfra.policy.inspection import Inspection
from mlinfra.prices.book import Miss, Price, PriceBook
from mlinfra.prices.context import Context
from mlinfra.prices.registry import Answer, Free, Gap, NotKnown, Quantity, Use, free_of, gap_of, pricer_of
from mlinfra.resources import PART_TYPE, STACK_TYPE, Resource, Resources

if TYPE_CHECKING:
    from mlinfra.prices.usage import Commitments, UsageByName

CENT = Decimal("0.01")
HOUR = "hour"
_LARGE = DecimalContext(prec=200)
"""Room for the amounts that absurd numbers make: a decimal that does not fit raises."""


@dataclass(frozen=True)
class Dollars:
    """US dollars to the cent: at least, likely, and at most."""

    low: Decimal = Decimal("0.00")
    likely: Decimal = Decimal("0.00")
    high: Decimal = Decimal("0.00")

    def __add__(self, other: Dollars) -> Dollars:
        return Dollars(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __sub__(self, other: Dollars) -> Dollars:
        return Dollars(self.low - other.low, self.likely - other.likely, self.high - other.high)

    def to_json(self) -> dict[str, float]:
        """Return the shape that `--json` prints."""
        return {"low": float(self.low), "likely": float(self.likely), "high": float(self.high)}


@dataclass(frozen=True)
class Item:
    """One thing that is paid for. `factor`: the share of the list price that a commitment leaves to pay."""

    resource: Resource
    part: str | None
    name: str
    quantity: Quantity
    price: Price
    usd: Decimal
    factor: Decimal
    one_off: bool
    idle: bool
    assumed: str

    @cached_property
    def dollars(self) -> Dollars:
        """What it costs, a month or once."""
        quantity = self.quantity.times(self.usd * self.factor)
        return Dollars(_cents(quantity.low), _cents(quantity.likely), _cents(quantity.high))

    @property
    def idle_dollars(self) -> Decimal:
        """What of it is paid a month at zero traffic."""
        return self.dollars.low if self.idle and not self.one_off else Decimal("0.00")

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `cost --json` prints."""
        quantity = self.quantity
        return {
            "resource": self.resource.urn,
            "part": self.part,
            "item": self.name,
            "region": self.price.region,
            "quantity": {"low": float(quantity.low), "likely": float(quantity.likely), "high": float(quantity.high)},
            "unit": self.price.key.unit,
            "price_usd": float(self.usd),
            "commitment": float(self.factor),
            "monthly_usd": None if self.one_off else self.dollars.to_json(),
            "one_off_usd": float(self.dollars.likely) if self.one_off else None,
            "idle_usd": float(self.idle_dollars),
            "assumed": self.assumed or None,
            "source": self.price.source,
            "as_of": self.price.as_of,
        }


@dataclass(frozen=True)
class Unpriced:
    """Something that is paid for and has no price here, or no known quantity."""

    resource: Resource
    part: str | None
    item: str
    reason: str
    one_off: bool = False
    unused: bool = False
    quantity: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `cost --json` prints."""
        return {
            "resource": self.resource.urn,
            "part": self.part,
            "item": self.item,
            "reason": self.reason,
            "one_off": self.one_off,
            "unused": self.unused,
            "quantity": self.quantity,
        }


@dataclass(frozen=True)
class Estimate:
    """What a stack costs. What has no price is in `unpriced` and in no total."""

    items: Sequence[Item]
    unpriced: Sequence[Unpriced]
    free: Sequence[tuple[Resource, Free]]
    left_out: int = 0
    """How many resources a preview left out; see `Resources.left_out`."""

    @cached_property
    def monthly(self) -> Dollars | None:
        """The total a month; None where things are paid for and nothing has a price."""
        return self._total(one_off=False)

    @cached_property
    def one_off(self) -> Dollars | None:
        """What is paid once; None as for `monthly`."""
        return self._total(one_off=True)

    @cached_property
    def idle(self) -> Decimal:
        """What is paid a month at zero traffic."""
        return sum((item.idle_dollars for item in self.items), Decimal("0.00"))

    @property
    def monthly_gaps(self) -> list[Unpriced]:
        """What is unpriced of a month's cost, and would change it."""
        return [item for item in self.unpriced if not (item.one_off or item.unused)]

    def gaps_of(self, urn: str) -> Sequence[Unpriced]:
        """Return what is unpriced of one resource."""
        return self._gaps.get(urn, ())

    @cached_property
    def _gaps(self) -> Mapping[str, Sequence[Unpriced]]:
        found: dict[str, list[Unpriced]] = {}
        for gap in self.unpriced:
            found.setdefault(gap.resource.urn, []).append(gap)
        return found

    @property
    def prices_as_of(self) -> str | None:
        """The date of the oldest price that was used; None where none was."""
        return min((item.price.as_of for item in self.items), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the amounts of `cost --json`."""
        return {
            "monthly_usd": self.monthly.to_json() if self.monthly else None,
            "one_off_usd": float(self.one_off.likely) if self.one_off else None,
            "idle_usd": float(self.idle) if self.monthly else None,
            "unpriced": [item.to_json() for item in self.unpriced],
            "items": [item.to_json() for item in self.items],
            "prices_as_of": self.prices_as_of,
            "left_out": self.left_out,
        }

    def _total(self, *, one_off: bool) -> Dollars | None:
        found = [item for item in self.items if item.one_off is one_off]
        used = any(item.quantity.high for item in found)
        if not used and any(item.one_off is one_off and not item.unused for item in self.unpriced):
            return None
        return sum((item.dollars for item in found), Dollars())


def estimate(
    resources: Resources | Inspection,
    book: PriceBook,
    *,
    usage: UsageByName | None = None,
    commitments: Commitments | None = None,
) -> Estimate:
    """Return what resources cost by the prices of a book. Everything that is paid for is an item, or unpriced."""
    inspection = resources if isinstance(resources, Inspection) else Inspection(resources)
    return estimate_in(Context(inspection, usage), book, commitments or {})


def estimate_in(context: Context, book: PriceBook, commitments: Commitments) -> Estimate:
    """Return the estimate of a context, which afterwards knows what usage was asked for; see `estimate`."""
    items: list[Item] = []
    unpriced: list[Unpriced] = []
    free: list[tuple[Resource, Free]] = []
    for resource in _resources(context.inspection.resources):
        part = context.inspection.resources.part_of(resource)
        for answer in _answers(resource, context):
            found = _item(answer, resource, part, context, book, commitments) if isinstance(answer, Use) else answer
            if isinstance(found, Item):
                items.append(found)
            elif isinstance(found, Gap):
                unpriced.append(Unpriced(resource, part, **vars(found)))
            else:
                free.append((resource, found))
    return Estimate(items, unpriced, free, context.inspection.resources.left_out)


def _resources(resources: Resources) -> Iterator[Resource]:
    """Yield what may be billed: all but the stack, providers, and components, which are free by nature."""
    for resource in resources.all:
        own = resource.type.startswith((STACK_TYPE, PART_TYPE, "pulumi:providers:"))
        if not own and (resource.custom or pricer_of(resource.type) or free_of(resource.type)):
            yield resource


def _answers(resource: Resource, context: Context) -> Iterator[Answer]:
    name = resource.type.rsplit(":", 1)[-1]
    if resource.external:
        yield Free("the program only reads it: it is paid for elsewhere")
        return
    pricer = pricer_of(resource.type)
    if pricer is None:
        yield free_of(resource.type) or Gap(name, f"nobody has said what a {resource.type} costs")
        return
    try:
        yield from pricer(resource, context)
    except NotKnown as error:
        yield gap_of(name, error)
    except Exception as error:  # noqa: BLE001  inputs may be anything
        yield Gap(name, f"could not be read: {type(error).__name__}: {error}"[:200])


def _item(
    use: Use, resource: Resource, part: str | None, context: Context, book: PriceBook, commitments: Commitments
) -> Item | Gap:
    name = f"{use.label}: {use.key}" if use.label else str(use.key)
    assumed = [use.assumed] if use.assumed else []
    try:
        region = use.region or context.region(resource)
    except NotKnown as error:
        return Gap(name, error.reason, one_off=use.one_off)
    if not isinstance(region, str):
        if region.assumed:
            assumed.append(f"the region, which nothing states: {region.name}")
        region = region.name
    price = book.find(use.key, region)
    where = f"{name} in {region}" if region else name
    if isinstance(price, Miss):
        reason = "; ".join(filter(None, ("no such price", price.nearest)))
        return Gap(where, reason, one_off=use.one_off, unused=not use.quantity.high)
    usd = price.spot_usd if use.spot else price.usd
    if usd is None:
        return Gap(f"{where} (spot)", "no spot price", one_off=use.one_off)
    committed = use.key.unit == HOUR and not use.spot and not use.one_off
    factor = Decimal(repr(commitments.get(use.key.service, 1.0))) if committed else Decimal(1)
    return Item(
        resource, part, name, use.quantity, price, usd, factor, use.one_off, use.idle, "; ".join(assumed)
    )  # fmt: skip


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP, _LARGE)

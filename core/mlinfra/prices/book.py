"""The price book: list prices as data, each with its source and its date."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from importlib.resources import files

EVERYWHERE = "any"
"""The region of a price that is the same in all regions."""

TABLES = ("aws.csv", "azure.csv", "gcp.csv")
"""The tables of prices that are shipped, with the same columns; no price stands in two of them."""


@dataclass(frozen=True)
class Key:
    """What a price is found by, in the words of the snapshot: `aws`, `SageMaker`, `realtime-hosting`,
    `ml.m5.xlarge`, and the unit that the quantity is counted in, `hour`."""

    provider: str
    service: str
    component: str
    item: str
    unit: str

    def __str__(self) -> str:
        return " ".join(dict.fromkeys([self.service, self.component, self.item]))


@dataclass(frozen=True)
class Price:
    """One list price in US dollars, on demand and, where there is one, spot; `as_of` is an ISO date."""

    key: Key
    region: str
    usd: Decimal
    spot_usd: Decimal | None
    as_of: str
    source: str
    quality: str
    note: str = ""


@dataclass(frozen=True)
class Miss:
    """There is no such price; `nearest` says what there is instead, as far as that helps."""

    nearest: str


class PriceBook:
    """Prices by what they are for and by region; they are read when the first one is asked for."""

    def __init__(self, prices: Iterable[Price]) -> None:
        self._given = prices
        self._misses: dict[tuple[Key, str], Miss] = {}

    @cached_property
    def prices(self) -> Sequence[Price]:
        """All of them."""
        return tuple(self._given)

    def find(self, key: Key, region: str) -> Price | Miss:
        """Return the price in a region; never that of another region, or of another unit."""
        regions = self._regions.get(key, {})
        found = regions.get(region) or regions.get(EVERYWHERE)
        if found is None and (key, region) not in self._misses:
            self._misses[key, region] = Miss(self._nearest(key, region, regions))
        return found or self._misses[key, region]

    @property
    def services(self) -> set[str]:
        """The names of all services that have a price."""
        return {price.key.service for price in self.prices}

    def _nearest(self, key: Key, region: str, regions: Mapping[str, Price]) -> str:
        if regions:
            return f"has a price in {', '.join(sorted(regions))}"
        shelf = {
            other.item
            for other, found in self._regions.items()
            if (other.provider, other.service, other.component, other.unit)
            == (key.provider, key.service, key.component, key.unit)
            and (region in found or EVERYWHERE in found)
        }
        near = difflib.get_close_matches(key.item, sorted(shelf), n=2, cutoff=0.75)
        return f"the nearest with a price: {', '.join(near)}" if near else ""

    @cached_property
    def _regions(self) -> Mapping[Key, Mapping[str, Price]]:
        found: dict[Key, dict[str, Price]] = {}
        for price in self.prices:
            found.setdefault(price.key, {})[price.region] = price
        return found


@cache
def snapshot() -> PriceBook:
    """Return the prices that are shipped."""
    shipped = files("mlinfra.prices")
    return PriceBook(
        price for table in TABLES for price in read_prices(shipped.joinpath(table).read_text(encoding="utf-8"))
    )


def read_prices(text: str) -> list[Price]:
    """Return the prices of a table with the snapshot's columns.

    Raises:
        KeyError: a column is missing.
        decimal.InvalidOperation: an amount is no number.
    """
    return [
        Price(
            key=Key(row["provider"], row["service"], row["component"], row["item"], row["unit"]),
            region=row["region"],
            usd=Decimal(row["usd"]),
            spot_usd=Decimal(row["spot_usd"]) if row["spot_usd"] else None,
            as_of=row["as_of"],
            source=row["source"],
            quality=row["quality"],
            note=row["note"],
        )
        for row in csv.DictReader(text.splitlines())
    ]

"""The cheapest type of machine that fits: what a cloud has is a data file, what it costs stands in the price book."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

from mlinfra.adapters import Instance
from mlinfra.declarations.compute import Compute
from mlinfra.prices.book import Key, Price, snapshot

FILE = "instances.csv"
"""Columns: name, cpus, memory_gib, gpus, gpu (its kind, or nothing)."""


@dataclass(frozen=True)
class Machine:
    """One row of a data file."""

    name: str
    cpus: float
    memory_gib: float
    gpus: int
    gpu: str

    def fits(self, need: Compute) -> bool:
        """Whether it has what is asked for."""
        return self.cpus >= need.cpus and self.memory_gib >= need.memory_gib and self.gpus >= need.gpus

    def instance(self) -> Instance:
        """Return it as the core knows it."""
        return Instance(self.name, self.cpus, self.memory_gib, self.gpus)


@cache
def machines(package: str) -> tuple[Machine, ...]:
    """Return the machines of an adapter's `instances.csv`."""
    text = files(package).joinpath(FILE).read_text(encoding="utf-8")
    return tuple(
        Machine(row["name"], float(row["cpus"]), float(row["memory_gib"]), int(row["gpus"]), row["gpu"])
        for row in csv.DictReader(text.splitlines())
    )


Dollars = Callable[[Machine], Decimal | None]


def cheapest(need: Compute, offered: Iterable[Machine], dollars: Dollars) -> Instance | None:
    """Return the cheapest machine that fits, or None; those without a price come last, the smallest first.

    A machine with GPUs is only for those who ask for GPUs, whatever it costs: there are few of them.
    """

    def order(machine: Machine) -> tuple[bool, Decimal, float, float, str]:
        price = dollars(machine)
        return price is None, price or Decimal(0), machine.cpus, machine.memory_gib, machine.name

    fitting = [machine for machine in offered if machine.fits(need) and bool(machine.gpus) == bool(need.gpus)]
    return min(fitting, key=order).instance() if fitting else None


def list_price(key: Key, region: str) -> Decimal | None:
    """Return the list price in a region, or None where the book has none."""
    found = snapshot().find(key, region)
    return found.usd if isinstance(found, Price) else None

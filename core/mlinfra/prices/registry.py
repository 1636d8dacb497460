"""What each type of resource is billed by: functions by type token, and the types that cost nothing."""

from __future__ import annotations

import csv
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from mlinfra.policy.inspection import matches
from mlinfra.policy.values import Value, number
from mlinfra.prices.book import Key

if TYPE_CHECKING:
    from mlinfra.prices.context import Context
    from mlinfra.resources import Resource

HOURS = Decimal(730)
"""Hours in a month."""

MOST = 1e15
"""What is more than this is no amount of anything, but a mistake."""


@dataclass(frozen=True)
class Quantity:
    """How much of something a month (or once), in the unit of its price: at least, likely, and at most.

    Raises:
        ValueError: not 0 <= low <= likely <= high.
    """

    low: Decimal
    likely: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.likely <= self.high:
            raise ValueError(f"{self.low} to {self.high}, likely {self.likely}, is no quantity")

    def times(self, factor: Decimal | int) -> Quantity:
        """Return so many times as much."""
        return Quantity(self.low * factor, self.likely * factor, self.high * factor)


def exactly(amount: Decimal | int) -> Quantity:
    """Return a quantity that is certain."""
    return Quantity(Decimal(amount), Decimal(amount), Decimal(amount))


@dataclass(frozen=True)
class Use:
    """Something that is paid for.

    `label` says which of several things of the resource it is (`variant blue`). `idle`: it is paid at zero traffic,
    too. `assumed` says what was taken for granted because nobody stated it. `region` overrides the resource's own.
    """

    key: Key
    quantity: Quantity
    label: str = ""
    one_off: bool = False
    idle: bool = True
    spot: bool = False
    assumed: str = ""
    region: str = ""


@dataclass(frozen=True)
class Gap:
    """Something that is paid for, and nobody can say how much: listed as unpriced, never counted as 0.

    `unused`: as far as is stated, none of it is used, so that it changes no total. `quantity`: it is not the price
    that is missing, but how much of it there is.
    """

    item: str
    reason: str
    one_off: bool = False
    unused: bool = False
    quantity: bool = False


@dataclass(frozen=True)
class Free:
    """The resource costs nothing, and why."""

    reason: str
    source: str = ""


Answer = Use | Gap | Free
Pricer = Callable[["Resource", "Context"], Iterable[Answer]]
F = TypeVar("F", bound=Pricer)


class NotKnown(Exception):
    """What decides the amount is known only after an `up`, or is no amount."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AmountNotKnown(NotKnown):
    """How much of something there is is not known; what it is, is."""


def known(value: Value, default: Any = None) -> Any:
    """Return what stands at a path, or `default` where nothing does.

    Raises:
        NotKnown: it is known only after an `up`.
    """
    if value.unknown:
        raise NotKnown(f"{value.path} is known only after an up")
    return default if value.absent else value.value


def amount(value: Value, default: Decimal | int | None = None) -> Decimal:
    """Return the number, at least 0, at a path, or `default` where nothing stands there.

    Raises:
        AmountNotKnown: it is known only after an `up`, is no such number, or is absent without a default.
    """
    if value.unknown:
        raise AmountNotKnown(f"{value.path} is known only after an up")
    given = known(value, default)
    if given is None:
        raise AmountNotKnown(f"{value.path} is absent")
    found = number(given)
    if found is None or not 0 <= found <= MOST:
        raise AmountNotKnown(f"{value.path} is no amount: {given!r}"[:120])
    return Decimal(str(given)) if not isinstance(given, float) else Decimal(repr(given))


def apart(item: str, answers: Iterable[Answer], *, one_off: bool = False) -> Iterator[Answer]:
    """Yield the answers about one of several things; what is not known of it leaves the others alone."""
    try:
        yield from answers
    except NotKnown as error:
        yield gap_of(item, error, one_off=one_off)


def gap_of(item: str, error: NotKnown, *, one_off: bool = False) -> Gap:
    """Return the gap that something that is not known leaves."""
    return Gap(item, error.reason, one_off=one_off, quantity=isinstance(error, AmountNotKnown))


def priced(*types: str) -> Callable[[F], F]:
    """Mark a function as saying what resources of `types` are billed by; it yields `Use`, `Gap` and `Free`.

    A type is a token; `*` stands for any text, and the version in an Azure token is left out. The function's module
    is `mlinfra.prices.types.<provider>…`, where the provider is the first word of the token, without `-native`.
    """

    def mark(function: F) -> F:
        function.priced = types  # type: ignore[attr-defined]
        return function

    return mark


@cache
def pricer_of(token: str) -> Pricer | None:
    """Return the function for a type, or None."""
    provider = token.partition(":")[0].removesuffix("-native")
    exact, patterns = _pricers(provider)
    if token in exact:
        return exact[token]
    return next((function for pattern, function in patterns if matches(token, pattern)), None)


def priced_types(provider: str) -> list[str]:
    """Return the types of a provider that have a function: `aws`, `gcp`, `azure`, `kubernetes`."""
    exact, patterns = _pricers(provider)
    return sorted({*exact, *(pattern for pattern, _ in patterns)})


@cache
def free_of(token: str) -> Free | None:
    """Return why a type costs nothing; None where nobody has said so."""
    return next((Free(reason, source) for pattern, reason, source in _free() if matches(token, pattern)), None)


@cache
def _free() -> Sequence[tuple[str, str, str]]:
    text = files("mlinfra.prices").joinpath("free.csv").read_text(encoding="utf-8")
    return [(row["type"], row["reason"], row["source"]) for row in csv.DictReader(text.splitlines())]


@cache
def _pricers(provider: str) -> tuple[Mapping[str, Pricer], Sequence[tuple[str, Pricer]]]:
    from mlinfra.prices import types

    exact: dict[str, Pricer] = {}
    patterns: list[tuple[str, Pricer]] = []
    for found in pkgutil.iter_modules(types.__path__):
        if found.name.partition("_")[0] != provider:
            continue
        module = importlib.import_module(f"{types.__name__}.{found.name}")
        for function in vars(module).values():
            if getattr(function, "__module__", None) == module.__name__:
                for token in getattr(function, "priced", ()):
                    if "*" in token or token.startswith("azure-native:"):
                        patterns.append((token, function))
                    else:
                        exact[token] = function
    return exact, patterns

"""Reading amounts and lengths of time, and comparing them with limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, unknown, violation
from mlinfra.policy.values import Value, at, number
from mlinfra.resources import Resource

_ISO = re.compile(
    r"P(?!$)((?P<Y>[\d.]+)Y)?((?P<M>[\d.]+)M)?((?P<W>[\d.]+)W)?((?P<D>[\d.]+)D)?"
    r"(T(?!$)((?P<h>[\d.]+)H)?((?P<m>[\d.]+)M)?((?P<s>[\d.]+)S)?)?"
)
_SECONDS = {"Y": 365 * 86400, "M": 30 * 86400, "W": 7 * 86400, "D": 86400, "h": 3600, "m": 60, "s": 1}


def is_known(value: Value) -> bool:
    """Whether something is said at a place, and can be read now."""
    return not (value.absent or value.hidden)


def seconds(value: Any) -> float | None:
    """Return a length of time in seconds, or None where it is none.

    It may be a number of seconds, as text or not, a text of Google (`86400s`), or a duration of ISO 8601 (`PT30M`).
    """
    text = str(value).strip().upper()
    match = _ISO.fullmatch(text)
    if match is None:
        return number(text.removesuffix("S"))
    parts = {unit: number(amount) for unit, amount in match.groupdict().items() if amount is not None}
    return sum(_SECONDS[unit] * amount for unit, amount in parts.items() if amount is not None)


def minutes(value: Any) -> float | None:
    """Return a number of minutes in seconds, or None where it is none."""
    amount = number(value)
    return None if amount is None else amount * 60


def above(
    found: Value, limit: float, shown: str = "", *, read: Callable[[Any], float | None] = number
) -> Iterator[Answer]:
    """Yield a violation where the amount at a place is above `limit`; nothing where nothing is said.

    `read` makes the value comparable with `limit`; `shown` is the limit as a person reads it.
    """
    if found.absent:
        return
    amount = None if found.hidden else read(found.value)
    if found.hidden:
        yield unknown(found.path)
    elif amount is None:
        yield unknown(found.path, f"is {found.value!r}, which is no amount")
    elif amount > limit:
        yield violation(found.path, f"is {found.value}; at most {shown or f'{limit:g}'} is wanted")


def outside_production(resource: Resource, inspection: Inspection, answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yield the answers of a resource outside production; where nobody knows where it belongs, they are unknown."""
    yield from _where(inspection.production(resource), False, answers)


def in_production(resource: Resource, inspection: Inspection, answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yield the answers of a resource of production; where nobody knows where it belongs, they are unknown."""
    yield from _where(inspection.production(resource), True, answers)


def _where(production: bool | None, wanted: bool, answers: Iterable[Answer]) -> Iterator[Answer]:
    for answer in answers:
        if production is None:
            yield unknown(
                answer.path,
                "breaks the rule or not by where it belongs, and whether that is production is not known yet",
            )
        elif production is wanted:
            yield answer


def compute_is(resource: Resource, kind: str) -> bool | None:
    """Whether a compute of Azure ML is of a kind (`AmlCompute`); None where it is not known."""
    found = at(resource.inputs, "properties.computeType")
    return None if found.unknown else str(found.value).lower() == kind.lower()

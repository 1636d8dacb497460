"""AWS's cron expressions, as far as they repeat each week: minutes, hours and days of the week."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from mlinfra.prices.registry import HOURS, AmountNotKnown

_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAY = 24 * 60
WEEK = 7 * _DAY
"""Minutes in a week."""


@dataclass(frozen=True)
class Weekly:
    """The minutes, hours and days (0 is Sunday) at which something starts."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]

    @property
    def a_month(self) -> Decimal:
        """How often it starts in a month of 730 hours."""
        return Decimal(len(self.minutes) * len(self.hours) * len(self.days)) * HOURS / (7 * 24)

    @property
    def moments(self) -> list[int]:
        """When it starts, in minutes since the beginning of Sunday."""
        return sorted(
            day * _DAY + hour * 60 + minute for day in self.days for hour in self.hours for minute in self.minutes
        )


def weekly(expression: str) -> Weekly:
    """Return what a `cron(minutes hours day month weekday year)` says.

    Raises:
        AmountNotKnown: it is bound to days of the month, months or years, or is no such expression.
    """
    match = re.fullmatch(r"cron\(\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s*\)", expression.strip())
    if match is None or any(match[number] not in "*?" for number in (3, 4, 6)):
        raise AmountNotKnown(f"how often a schedule runs is not read from {expression!r}")
    days = match[5].upper()
    for number, name in enumerate(_DAYS, 1):
        days = days.replace(name, str(number))
    whole = frozenset(range(7))
    return Weekly(
        _matches(match[1], range(60), expression),
        _matches(match[2], range(24), expression),
        whole if days in "*?" else frozenset(day - 1 for day in _matches(days, range(1, 8), expression)),
    )


def over_a_week(
    bounds: tuple[Decimal, Decimal], changes: Iterable[tuple[Weekly, Decimal | None, Decimal | None]]
) -> tuple[Decimal, Decimal]:
    """Return the average minimum and maximum of a week in which a schedule changes them; None leaves one as it is."""
    moments = sorted((moment, low, high) for schedule, low, high in changes for moment in schedule.moments)
    if not moments:
        return bounds
    low, high = bounds
    for _, new_low, new_high in moments:
        low, high = low if new_low is None else new_low, high if new_high is None else new_high
    total_low, total_high, last = Decimal(0), Decimal(0), 0
    for moment, new_low, new_high in [*moments, (WEEK, None, None)]:
        total_low += low * (moment - last)
        total_high += max(low, high) * (moment - last)
        low, high, last = low if new_low is None else new_low, high if new_high is None else new_high, moment
    return total_low / WEEK, total_high / WEEK


def _matches(field: str, slots: range, expression: str) -> frozenset[int]:
    found = set[int]()
    for piece in field.split(","):
        match = re.fullmatch(r"(\*|\[?(\d+)(?:-(\d+))?\]?)(?:/(\d+))?", piece)
        if match is None:
            raise AmountNotKnown(f"how often a schedule runs is not read from {expression!r}")
        first, last, step = match[2], match[3], int(match[4] or 1)
        start = int(first) if first else slots[0]
        end = int(last) if last else (slots[-1] if match[4] or not first else start)
        if not (slots[0] <= start <= end <= slots[-1] and step):
            raise AmountNotKnown(f"how often a schedule runs is not read from {expression!r}")
        found.update(range(start, end + 1, step))
    return frozenset(found)

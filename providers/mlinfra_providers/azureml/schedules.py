"""Schedules of whole minutes, hours or a day, as triggers of Azure ML write them; times are UTC."""

from __future__ import annotations

from mlinfra.durations import seconds

START = "2026-01-01T00:00:00"
"""From where intervals are counted, so that a schedule of every hour begins with the hour."""
_UNITS = (("Day", 24 * 3600), ("Hour", 3600), ("Minute", 60))


def recurrence(every: str) -> tuple[str, int] | None:
    """Return frequency and interval: `("Hour", 6)`; None for what is no whole number of minutes."""
    length = seconds(every)
    for frequency, unit in _UNITS:
        if length >= unit and length % unit == 0:
            return frequency, int(length // unit)
    return None


def iso(length: float) -> str:
    """Return a duration in seconds as ISO 8601 writes it: `PT1800S`."""
    return f"PT{length:g}S" if length < 10**5 else f"PT{int(length)}S"

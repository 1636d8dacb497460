"""Schedules of whole minutes, hours or a day, as cron writes them: UTC, and the same minutes of each hour."""

from __future__ import annotations

from mlinfra.durations import seconds

_MINUTE, _HOUR, _DAY = 60, 3600, 24 * 3600


def cron(every: str) -> str | None:
    """Return the schedule, or None where none repeats evenly: 7 minutes are no part of an hour."""
    length = seconds(every)
    if length == _DAY:
        return "0 0 * * *"
    if length % _HOUR == 0 and _DAY % length == 0:
        return f"0 */{length // _HOUR:g} * * *" if length > _HOUR else "0 * * * *"
    if length % _MINUTE == 0 and _HOUR % length == 0:
        return f"*/{length // _MINUTE:g} * * * *"
    return None

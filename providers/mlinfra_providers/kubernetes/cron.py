"""An interval as a schedule of a CronJob."""

from __future__ import annotations

from mlinfra.durations import seconds

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def cron(every: str) -> str | None:
    """Return the schedule of an interval, or None: a schedule begins anew each hour and each day.

    So it keeps intervals of minutes that divide an hour, of hours that divide a day, and one day.
    """
    span = seconds(every)
    if span == _DAY:
        return "0 0 * * *"
    if span % _HOUR == 0 and 0 < span < _DAY and _DAY % span == 0:
        return f"0 */{span // _HOUR} * * *"
    if span % _MINUTE == 0 and 0 < span < _HOUR and _HOUR % span == 0:
        return f"*/{span // _MINUTE} * * * *"
    return None

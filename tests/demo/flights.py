"""Real flights as requests: those of April for the load, of winter and of July for the drift monitor."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOAD_FLIGHTS, WINDOW_ROWS, RESAMPLES = 15_000, 2000, 2

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Flights:
    """Flights of April, one body each; `late` says what became of them (1: late), in their order."""

    april: Sequence[Body]
    late: Sequence[int]

    @classmethod
    def read(cls) -> Flights:
        """Read the flights of 2013 and draw from them, always the same."""
        from stacks.flight_delay import data, replay

        # in no order: flights of one hour share their weather, and releases are compared over different minutes
        april = _shuffled(list(replay.requests([4], LOAD_FLIGHTS)))
        table = data.flights()
        moments = table["event_timestamp"].dt.strftime("%Y-%m-%dT%H:%MZ")
        names = moments + "-" + table["origin"] + "-" + table["carrier"] + "-" + table["flight"].astype(str)
        known = dict(zip(names, table["late"], strict=True))
        return cls(april=april, late=[int(known[body["id"]]) for body in april])


def winter() -> list[list[Body]]:
    """Return samples of January to March, with no flight twice."""
    from stacks.flight_delay import replay

    shuffled = _shuffled(list(replay.requests([1, 2, 3], RESAMPLES * WINDOW_ROWS, seed=1)))
    return [shuffled[start : start + WINDOW_ROWS] for start in range(0, len(shuffled), WINDOW_ROWS)]


def july() -> list[Body]:
    """Return a sample of July."""
    from stacks.flight_delay import replay

    return list(replay.requests([7], WINDOW_ROWS))


def _shuffled(bodies: list[Body]) -> list[Body]:
    random.Random(2013).shuffle(bodies)
    return bodies

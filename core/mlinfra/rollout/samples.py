"""What was measured of the releases behind an endpoint in a window of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class ReleaseSamples:
    """What was measured of one release.

    `requests` were sent to it and `errors` of them were answered by 5xx or not at all. `latencies_ms` has one number
    for each answered request, where the target keeps them; else `percentiles_ms` has what it tells (`p50_ms`,
    `p95_ms`, `p99_ms`). `saturation` is the share of its busiest replica's limit that is used, 0 to 1.
    `drifted_columns` counts the columns over their threshold. `predictions` and `labels` are those of the requests
    whose label has arrived, in the same order; `labelled_of` is how many requests a label could arrive for. What is
    not known is None.
    """

    requests: int = 0
    errors: int = 0
    latencies_ms: Sequence[float] | None = None
    percentiles_ms: Mapping[str, float] = field(default_factory=dict)
    saturation: float | None = None
    drifted_columns: int | None = None
    predictions: Sequence[float] | None = None
    labels: Sequence[float] | None = None
    labelled_of: int = 0


@dataclass(frozen=True)
class Samples:
    """The releases that were measured from `start` to `end`, by their first 12 digits."""

    start: datetime
    end: datetime
    releases: Mapping[str, ReleaseSamples]


@dataclass(frozen=True)
class NoData:
    """Nothing could be measured, and why."""

    reason: str

"""What to expect of changes: how long they take, and whether an endpoint keeps serving meanwhile.

`expectations.json` says it by type, with where the numbers are from. What it does not say is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.diff import Change, ResourceChange

_SERVES = {Change.SAME, Change.CREATE}


@dataclass(frozen=True)
class Duration:
    """Seconds that changes take, at least and at most, and the types of which nobody knows."""

    low: float
    high: float
    unknown: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `plan --json` prints."""
        return {"seconds": {"low": self.low, "high": self.high}, "unknown": list(self.unknown)}


def duration(changes: Sequence[ResourceChange]) -> Duration:
    """Return how long the changes take: along the longest chain of resources that wait for each other."""
    touched = {change.resource.urn: change for change in changes if change.change is not Change.SAME}
    known = expected()
    ends: dict[str, tuple[float, float]] = {}

    def end(urn: str) -> tuple[float, float]:
        if urn not in ends:
            ends[urn] = (0.0, 0.0)  # a cycle cannot be, but a state may say anything
            change = touched[urn]
            low, high = known.get(change.resource.type, {}).get("seconds", {}).get(change.change.value, (0, 0))
            before = [end(other) for other in change.resource.dependencies if other in touched]
            ends[urn] = (
                low + max((item[0] for item in before), default=0.0),
                high + max((item[1] for item in before), default=0.0),
            )
        return ends[urn]

    # what goes is removed after everything else is there, in turn the other way round
    phases = [
        [end(urn) for urn, change in touched.items() if (change.change is Change.DELETE) is gone]
        for gone in (False, True)
    ]
    unknown = {
        change.resource.type
        for change in touched.values()
        if change.change.value not in known.get(change.resource.type, {}).get("seconds", {})
    }
    low, high = (sum(max((item[side] for item in phase), default=0.0) for phase in phases) for side in (0, 1))
    return Duration(low, high, sorted(unknown))


def serving(part: str, changes: Sequence[ResourceChange]) -> str | None:
    """Return what an endpoint's clients see of its changes; None for parts that nobody asks.

    `as before`, `new`, `keeps serving`, `stops serving`, or `may be interrupted` where nobody knows.
    """
    if not part.startswith(f"{Endpoint.plural}."):
        return None
    if all(change.change is Change.SAME for change in changes):
        return "as before"
    if all(change.change in _SERVES for change in changes) and not any(
        change.change is Change.SAME for change in changes
    ):
        return "new"
    known = expected()
    for change in changes:
        if change.change.value in known.get(change.resource.type, {}).get("stops_serving", ()):
            return "stops serving"
    unsure = any(
        change.change is Change.MAY_REPLACE or (change.change not in _SERVES and change.resource.type not in known)
        for change in changes
    )
    return "may be interrupted" if unsure else "keeps serving"


@cache
def expected() -> Mapping[str, Mapping[str, Any]]:
    """Return what is known, by type."""
    read: dict[str, Any] = json.loads(files("mlinfra").joinpath("expectations.json").read_text(encoding="utf-8"))
    return read

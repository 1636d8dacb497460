"""What installed packages bring: adapters, handlers of resources, rules."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any


def installed(group: str) -> Sequence[EntryPoint]:
    """Return the entry points of a group; the files of all packages are read once."""
    return tuple(_all().select(group=group))


@cache
def _all() -> Any:
    return entry_points()

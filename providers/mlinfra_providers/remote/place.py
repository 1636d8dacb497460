"""Where the jobs of a target read and write."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where a target keeps what jobs read (`given`) and what they make (`runs`): fsspec URLs of folders."""

    given: str
    runs: str

"""What an environment on this machine needs of it: the memory of two fleets of each endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.environment import Environment

FLEETS = 2
"""During a rollout both releases run."""
_GIB = 1024**3


def examine(environment: Environment, parts: Sequence[ResolvedPart]) -> Iterator[tuple[str, bool | None, str, str]]:
    """Yield what was found. Servers share what they load and rarely fill what is declared, so that less is no error."""
    import psutil

    endpoints = [part.part for part in parts if isinstance(part.part, Endpoint)]
    wanted = FLEETS * sum(endpoint.scale.max * endpoint.compute.memory_gib for endpoint in endpoints)
    there = psutil.virtual_memory().total / _GIB
    detail = f"{there:.1f} GiB here; two fleets of each endpoint may take {wanted:g} GiB"
    yield "memory", True if there >= wanted else None, detail, ""

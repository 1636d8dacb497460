"""What this machine cannot do: GPUs, containers, more than one replica, and a drift monitor of its own."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.problems import Problem
from mlinfra_providers.refusing import Refuser

_REFUSER = Refuser("local")


def refuse_place(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Refuse nothing more: a shared state and a shared store of artifacts work from this machine, too."""
    yield from ()


def refuse_part(part: Part, environment: Environment) -> Iterator[Problem]:
    """Refuse GPUs, containers, more than one replica, and a drift monitor of the target's own."""
    compute = getattr(part, "compute", None)
    if isinstance(compute, Compute) and compute.gpus:
        reason = "processes of this target get no GPU"
        yield _REFUSER.override(part, "compute.gpus", reason, str(compute.gpus), "0")
    if isinstance(part, Endpoint):
        if part.runtime == "custom":
            reason = "this target starts processes, not containers"
            yield _REFUSER.override(part, "runtime", reason, "custom", "sklearn")
        if (part.scale.min, part.scale.max) != (1, 1):
            found = f"min {part.scale.min}, max {part.scale.max}"
            reason = "one machine serves each release by one process"
            yield _REFUSER.override(part, "scale", reason, found, "{min: 1, max: 1}")
        elif part.scale.target_rps is not None:
            reason = "with one process there is nothing to add"
            yield _REFUSER.override(part, "scale.target_rps", reason, f"{part.scale.target_rps:g}", "null")
    if isinstance(part, DriftMonitor):
        yield from _REFUSER.native(part, "this machine has no monitor of its own")

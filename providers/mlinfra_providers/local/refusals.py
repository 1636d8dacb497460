"""What this machine cannot do: GPUs, containers, and more than one replica."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.declarations.compute import Compute
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.problems import Problem


def refuse_place(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Refuse nothing more: a shared state and a shared store of artifacts work from this machine, too."""
    yield from ()


def refuse_part(part: Part, environment: Environment) -> Iterator[Problem]:
    """Refuse GPUs, containers, and more than one replica."""
    compute = getattr(part, "compute", None)
    if isinstance(compute, Compute) and compute.gpus:
        yield _refusal(part, "compute.gpus", "processes of this target get no GPU", str(compute.gpus), "0")
    if isinstance(part, Endpoint):
        if part.runtime == "custom":
            yield _refusal(
                part, "runtime", "this target starts processes, not containers", "custom",
                "sklearn",
            )  # fmt: skip
        if (part.scale.min, part.scale.max) != (1, 1):
            yield _refusal(
                part, "scale", "one machine serves each release by one process",
                f"min {part.scale.min}, max {part.scale.max}", "{min: 1, max: 1}",
            )  # fmt: skip
        elif part.scale.target_rps is not None:
            yield _refusal(
                part, "scale.target_rps", "with one process there is nothing to add",
                f"{part.scale.target_rps:g}", "null",
            )  # fmt: skip


def _refusal(part: Part, field: str, reason: str, found: str, way_out: str) -> Problem:
    return Problem(
        "", 0, f"{part.key}.{field}", f"local refuses this: {reason}", found=found,
        remedy=f"in the environment's file: override: {{{part.key}.{field}: {way_out}}}",
    )  # fmt: skip

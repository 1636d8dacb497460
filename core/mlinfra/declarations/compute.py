"""How much of a machine a part needs; the adapter picks the cheapest instance type that fits."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from mlinfra.declarations.part import STRICT, Declaration


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Compute(Declaration):
    """`cpus`: virtual CPUs; `memory_gib`: GiB; `gpus`: whole GPUs of any kind."""

    cpus: Annotated[int, Field(strict=True, ge=1, le=512)] = 1
    memory_gib: Annotated[float, Field(strict=True, gt=0, le=24576)] = 2
    gpus: Annotated[int, Field(strict=True, ge=0, le=16)] = 0

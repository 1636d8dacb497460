"""How many accelerators a type of machine carries, and which resources of a container are accelerators.

`accelerators.json` holds the counts by patterns of names, with their sources. A pattern with the count null has it in
the name itself (`a2-highgpu-4g`). A part of one accelerator counts as that part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any


@lru_cache(maxsize=4096)
def carried(machine: str) -> float | None:
    """Return how many accelerators a machine of this type carries; None for a type that nobody has described here."""
    name = machine.strip().lower().removeprefix("ml.")
    for cloud in ("aws", "google", "azure"):
        known = _known()[cloud]
        for pattern, count in known["carry"]:
            match = re.fullmatch(pattern, name)
            if match:
                return float(match["count"] if "count" in match.groupdict() else match[1]) if count is None else count
        if any(re.fullmatch(pattern, name) for pattern in known["none"]):
            return 0
    return None


@lru_cache(maxsize=4096)
def is_accelerator(resource: str) -> bool:
    """Whether a name in a container's limits (`nvidia.com/gpu`) is that of an accelerator."""
    return any(re.fullmatch(pattern, resource.lower()) for pattern in _known()["kubernetes"]["resources"])


@cache
def _known() -> Mapping[str, Any]:
    read: Mapping[str, Any] = json.loads(files("mlinfra_policies").joinpath("accelerators.json").read_text("utf-8"))
    return read

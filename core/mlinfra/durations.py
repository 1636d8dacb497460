"""Durations as people write them: `30s`, `5m`, `1h`, `14d`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PATTERN = re.compile(r"(\d+)([smhd])")


def seconds(duration: str) -> int:
    """Return a duration in seconds.

    Raises:
        ValueError: not a whole number followed by s, m, h or d; or nothing at all.
    """
    match = _PATTERN.fullmatch(duration)
    if match is None or int(match[1]) == 0:
        raise ValueError("a duration is a whole number above 0 and a unit: 30s, 5m, 1h, 14d")
    return int(match[1]) * _SECONDS[match[2]]


def _text(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _valid(value: str) -> str:
    seconds(value)
    return value


Duration = Annotated[str, BeforeValidator(_text), AfterValidator(_valid)]
"""A duration as text; `seconds()` gives its length."""

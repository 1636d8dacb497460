"""Names in a cloud: readable, within the cloud's limits, and never the same for two things."""

from __future__ import annotations

import hashlib

_DIGITS = 8


def short_name(environment: str, *pieces: str, limit: int, separator: str = "-") -> str:
    """Return the name of something of an environment: `prod-flight-delay`, at most `limit` characters.

    A longer one is cut, and ends in eight digits of the whole name's digest. Names here are lower-case words joined by
    hyphens. With another `separator` these become it; with none (`""`) the digest is always there, because words that
    run into each other can be two names. An environment with a hyphen is set apart by two: `prod-eu` and `x` are not
    `prod` and `eu-x`.
    """
    apart = separator * 2 if "-" in environment and pieces else separator
    whole = apart.join([environment, separator.join(pieces)]) if pieces else environment
    plain = whole.replace("-", separator)
    if len(plain) <= limit and separator:
        return plain
    digest = hashlib.sha256("\0".join([environment, *pieces]).encode()).hexdigest()[:_DIGITS]
    room = limit - _DIGITS - len(separator)
    cut = plain[:room]
    return f"{cut.rstrip(separator) if separator else cut}{separator}{digest}"

"""Tags: whose it is, where it belongs, what it is for; the same on every cloud."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from mlinfra.adapters import ResolvedPart
from mlinfra.environment import Environment

_LONGEST_LABEL = 63
_DIGITS = 8
_NO_LABEL = re.compile(r"[^a-z0-9_-]")


def tags_of(environment: Environment, part: ResolvedPart | None = None, owner: str = "") -> dict[str, str]:
    """Return the tags of what belongs to a part, or to the environment as a whole; the environment's own come last."""
    made = {"environment": environment.name, "managed-by": "mlinfra"}
    if part is not None:
        made |= {"stack": part.stack, "part": part.key, "owner": part.owner}
    elif owner:
        made |= {"owner": owner}
    return {**made, **environment.tags}


def owner_of_all(parts: Sequence[ResolvedPart]) -> str:
    """Return who owns what all parts share: every owner of a stack, once."""
    return " ".join(dict.fromkeys(part.owner for part in parts))


def as_labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as labels of Google Cloud: lower case, digits, hyphens and underscores, at most 63 characters.

    A longer value is cut, and ends in eight digits of its digest.
    https://cloud.google.com/resource-manager/docs/labels-overview#requirements
    """
    return {key.lower(): _label(value) for key, value in tags.items()}


def _label(value: str) -> str:
    plain = _NO_LABEL.sub("-", value.lower())
    if len(plain) <= _LONGEST_LABEL:
        return plain
    digest = hashlib.sha256(value.encode()).hexdigest()[:_DIGITS]
    return f"{plain[: _LONGEST_LABEL - _DIGITS - 1]}-{digest}"

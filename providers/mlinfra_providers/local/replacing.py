"""What a change of an SDK's resource replaces or loses: nothing, every type of this target is the plugin's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def replaced_by(type_token: str) -> frozenset[str] | None:
    """Return None: nothing is known of types of other targets."""
    return None


def loses(type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return None: the plugin's own types say what they lose."""
    return None

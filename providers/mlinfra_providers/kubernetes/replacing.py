"""What replaces an object of Kubernetes, and what readers of a feature store would lose: columns that Feast is told."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

FILE = "features.py"


def replaced_by(type_token: str) -> frozenset[str] | None:
    """Return the inputs whose change replaces an object: those that make it one of another kind.

    Names and namespaces are made of the part's and the environment's own, so that no edit changes them alone.
    """
    return frozenset({"apiVersion", "kind"}) if type_token.startswith("kubernetes:") else None


def loses(type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return what those who read a feature store would lose by a change."""
    return lost_features(before, after) if type_token == "kubernetes:core/v1:ConfigMap" else None


def lost_features(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return which columns would go, or become something else."""
    old, new = _columns(before), _columns(after)
    lost = sorted(column for column, kind in old.items() if new.get(column) != kind)
    return f"the feature store would lose {', '.join(lost)}" if lost else None


def _columns(inputs: Mapping[str, Any]) -> dict[str, str]:
    text = (inputs.get("data") or {}).get(FILE)
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(text)) if isinstance(text, str) else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Field":
            values = {keyword.arg: keyword.value for keyword in node.keywords}
            name, kind = values.get("name"), values.get("dtype")
            if isinstance(name, ast.Constant) and isinstance(kind, ast.Name):
                found[str(name.value)] = kind.id
    return found

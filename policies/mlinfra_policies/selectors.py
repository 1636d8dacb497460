"""Whether a label selector of Kubernetes selects labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlinfra.policy.values import at, every, is_unknown


def selects(selector: Any, labels: Any) -> bool | None:
    """Whether a label selector (`matchLabels`, `matchExpressions`) selects labels; None where it is not known.

    An empty selector selects everything; so does an absent one, where a caller does not know better.
    """
    if is_unknown(selector):
        return None
    expressions = [
        *({"key": each, "operator": "In", "values": [value]} for each, value in _labels(selector).items()),
        *(item.value for item in every(selector, "matchExpressions[]")),
    ]
    answers = [_holds(expression, labels) for expression in expressions]
    if is_unknown(at(selector, "matchLabels").value):
        answers.append(None)
    return False if False in answers else None if None in answers else True


def _labels(selector: Any) -> Mapping[str, Any]:
    labels = at(selector, "matchLabels").value
    return labels if isinstance(labels, Mapping) else {}


def _holds(expression: Any, labels: Any) -> bool | None:
    key, operator, values = (at(expression, name).value for name in ("key", "operator", "values"))
    if is_unknown(labels) or is_unknown(key) or is_unknown(operator):
        return None
    present = isinstance(labels, Mapping) and key in labels
    if operator in ("Exists", "DoesNotExist"):
        return present is (operator == "Exists")
    if not present:
        return bool(operator == "NotIn")
    listed = values if isinstance(values, list) else [values]
    if not is_unknown(labels[key]) and labels[key] in listed:
        return bool(operator == "In")
    if is_unknown(labels[key]) or any(map(is_unknown, listed)):
        return None
    return bool(operator == "NotIn")

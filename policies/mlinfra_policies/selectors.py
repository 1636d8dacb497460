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
    labelled = at(selector, "matchLabels").value
    answers = [_holds(key, "In", [value], labels) for key, value in _mapping(labelled).items()]
    for expression in every(selector, "matchExpressions[]"):
        key, operator, values = (at(expression.value, name).value for name in ("key", "operator", "values"))
        answers.append(_holds(key, operator, values if isinstance(values, list) else [values], labels))
    if is_unknown(labelled):
        answers.append(None)
    return False if False in answers else None if None in answers else True


def _holds(key: Any, operator: Any, values: list[Any], labels: Any) -> bool | None:
    if is_unknown(labels) or is_unknown(key) or is_unknown(operator):
        return None
    found = _mapping(labels)
    key = str(key)
    if operator in ("Exists", "DoesNotExist"):
        return (key in found) is (operator == "Exists")
    if key not in found:
        return bool(operator == "NotIn")
    if not is_unknown(found[key]) and found[key] in values:
        return bool(operator == "In")
    if is_unknown(found[key]) or any(map(is_unknown, values)):
        return None
    return bool(operator == "NotIn")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

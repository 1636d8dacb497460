"""Whether a label selector of Kubernetes selects labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mlinfra.policy.values import at, every, is_unknown
from mlinfra.resources import UNKNOWN


class Selector(NamedTuple):
    """A label selector, read once for all the labels that it is compared with."""

    demands: Sequence[tuple[Any, Any, Sequence[Any]]]
    """Key, operator and values of each of its demands; an unknown key for those that are not known."""

    def selects(self, labels: Any) -> bool | None:
        """Whether it selects labels; None where that is not known."""
        answers = [_holds(key, operator, values, labels) for key, operator, values in self.demands]
        return False if False in answers else None if None in answers else True


def read(selector: Any) -> Selector:
    """Return a label selector (`matchLabels`, `matchExpressions`) as it stands in a resource.

    An empty selector selects everything; so does an absent one, where a caller does not know better.
    """
    labels = at(selector, "matchLabels").value
    pairs = {UNKNOWN: UNKNOWN} if is_unknown(labels) else _mapping(labels)
    demands = [(key, "In", [value]) for key, value in pairs.items()]
    for expression in every(selector, "matchExpressions[]"):
        key, operator, values = (at(expression.value, name).value for name in ("key", "operator", "values"))
        demands.append((key, operator, values if isinstance(values, list) else [values]))
    return Selector(demands)


def _holds(key: Any, operator: Any, values: Sequence[Any], labels: Any) -> bool | None:
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

"""Small answers that rules of several families are made of: an input must hold something, or name a resource."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mlinfra.policy.inspection import Inspection, matches
from mlinfra.policy.rule import Answer, Verdict, unknown, violation
from mlinfra.policy.values import Value, is_unknown
from mlinfra.resources import SECRET, Resource

Holds = Callable[[Any], bool]


def demand(value: Value, holds: Holds, message: str, *, remedy: str = "") -> Iterator[Answer]:
    """Yield what there is to say of an input whose value must pass a test: nothing where it does."""
    if hidden(value):
        yield unknown(value.path)
    elif not holds(value.value):
        yield violation(value.path, message, remedy=remedy)


def says(*texts: str) -> Holds:
    """Return a test for one of some texts in any case, as the providers compare the members of an enumeration."""
    wanted = {text.lower() for text in texts}
    return lambda value: str(value).lower() in wanted


def hidden(value: Value) -> bool:
    """Whether something is said, and nobody can read it now: it is not known yet, or a secret."""
    return value.unknown or bool(value.value == SECRET)


def where(condition: Value, holds: Holds, answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yield answers that count only where an input passes a test, such as the kind of a compute."""
    listed = list(answers)
    if not hidden(condition):
        yield from listed if holds(condition.value) else ()
    elif any(answer.verdict is Verdict.VIOLATION for answer in listed):
        yield unknown(condition.path)
    else:
        yield from listed


def named(value: Value, resource: Resource, inspection: Inspection, *types: str) -> bool | None:
    """Whether an input names something; None where it may. What comes from a resource of `types` names that one."""
    if not hidden(value):
        return not value.absent
    return True if comes_from(value, resource, inspection, *types) else None


def comes_from(value: Value, resource: Resource, inspection: Inspection, *types: str) -> bool:
    """Whether an unknown value comes from resources of these types.

    The engine tells where a whole input comes from. Where several values below it are unknown, each has a source of
    its own, and one source of these types is enough.
    """
    if inspection.comes_only_from(resource, value.path, *types):
        return True
    top = re.split(r"[.\[]", value.path, maxsplit=1)[0]
    return _unknown_below(resource.inputs.get(top)) > 1 and bool(sources(value, resource, inspection, *types))


def sources(value: Value, resource: Resource, inspection: Inspection, *types: str) -> list[Resource]:
    """Return the resources of some types that the input around a value comes from, whether it is known or not."""
    found = inspection.sources(resource, re.split(r"[.\[]", value.path, maxsplit=1)[0])
    return [source for source in found if any(matches(source.type, pattern) for pattern in types)]


def _unknown_below(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_unknown_below(item) for item in value.values())
    if isinstance(value, list):
        return sum(_unknown_below(item) for item in value)
    return int(is_unknown(value))

"""Arguments of an API checked against botocore's model: what `ParamValidator` checks, and enums, patterns, maxima."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape

from mlinfra.resources import UNKNOWN

_ROUGH = (r"\p{", r"\u", "(?<", "(?=", "(?!")
"""What Java's patterns have and Python's have not: such a pattern is not tried."""


@cache
def service(name: str) -> Any:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(name)


def problems(api: str, operation: str, arguments: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the arguments of an operation, by path; unknown values are left out."""
    return list(_walk(service(api).operation_model(operation).input_shape, arguments, operation))


def shape_problems(api: str, shape: str, value: Any) -> list[str]:
    """Return what is wrong with a value of one shape."""
    return list(_walk(service(api).shape_for(shape), value, shape))


def _walk(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if value == UNKNOWN:
        return
    limits = shape.metadata
    if shape.type_name == "structure":
        if not isinstance(value, Mapping):
            yield f"{path}: {value!r} is no structure"
            return
        for name in sorted(set(limits.get("required", ())) - set(value)):
            if shape.members[name].metadata.get("idempotencyToken"):
                continue  # the client makes one
            yield f"{path}.{name} is missing"
        for name, item in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: no such member of {shape.name}"
            else:
                yield from _walk(shape.members[name], item, f"{path}.{name}")
    elif shape.type_name == "list":
        if not isinstance(value, list | tuple):
            yield f"{path}: {value!r} is no list"
            return
        yield from _between(len(value), limits, path, "items")
        for number, item in enumerate(value):
            yield from _walk(shape.member, item, f"{path}[{number}]")
    elif shape.type_name == "map":
        if not isinstance(value, Mapping):
            yield f"{path}: {value!r} is no mapping"
            return
        yield from _between(len(value), limits, path, "entries")
        for key, item in value.items():
            yield from _walk(shape.key, key, f"{path}[{key!r}]")
            yield from _walk(shape.value, item, f"{path}.{key}")
    elif shape.type_name == "string":
        yield from _text(shape, value, path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{path}: {value!r} is no number"
        else:
            yield from _between(value, limits, path, "")
    elif shape.type_name == "boolean" and not isinstance(value, bool):
        yield f"{path}: {value!r} is no boolean"


def _text(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: {value!r} is no text"
        return
    limits = shape.metadata
    yield from _between(len(value), limits, path, "characters")
    if getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{path}: {value!r} is not one of {', '.join(shape.enum[:5])}, …"
    pattern = limits.get("pattern", "")
    if pattern and not any(rough in pattern for rough in _ROUGH) and not re.fullmatch(pattern, value):
        yield f"{path}: {value!r} does not match {pattern}"


def _between(number: float, limits: Mapping[str, Any], path: str, unit: str) -> Iterator[str]:
    if "min" in limits and number < limits["min"]:
        yield f"{path}: {number} {unit} is below {limits['min']}"
    if "max" in limits and number > limits["max"]:
        yield f"{path}: {number} {unit} is above {limits['max']}"

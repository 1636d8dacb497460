"""What the official SDK says of a type's inputs: names on the wire, types, and which are required."""

from __future__ import annotations

import collections.abc
import importlib
import inspect
import json
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin

from pulumi import _types

from tests.lab.cloud import Failure
from tests.lab.wire import UNKNOWN, Path, Properties

_IMPORTING = threading.RLock()
"""The SDKs import their modules lazily, and one that another thread imports is seen half made."""


@dataclass(frozen=True)
class Arguments:
    """The inputs of a resource or of an object in it: types by name on the wire, and the names that must be there."""

    types: dict[str, Any]
    required: frozenset[str]


@cache
def _modules(package: str) -> dict[str, tuple[str, str]]:
    """Return for each type token of an SDK the Python module and the class, as the SDK itself registers them."""
    root = importlib.import_module(package)
    text = inspect.getsource(root)
    listed = re.search(r'resource_modules="""\n(.*?)\n"""', text, re.S)
    assert listed, f"{package} registers no resource modules"
    found = {}
    for module in json.loads(listed[1]):
        for token, name in module["classes"].items():
            found[token] = (module["fqn"], name)
    return found


def arguments(package: str, token: str) -> Arguments | None:
    """Return the inputs of a type token, or None where the SDK has no such type."""
    with _IMPORTING, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other types of the same module
        return _arguments(package, token)


@cache
def _arguments(package: str, token: str) -> Arguments | None:
    place = _modules(package).get(token)
    if place is None:
        return None
    name = place[1]
    module = importlib.import_module(place[0])
    # where `NameArgs` is the type of another resource's property, the resource's own is `NameInitArgs`
    return of(getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args"))


@cache
def of(kind: type) -> Arguments:
    """Return the inputs that an Args class describes."""
    names = _types.input_type_py_to_pulumi_names(kind)
    signature = inspect.signature(kind)
    required = {
        names[parameter.name]
        for parameter in signature.parameters.values()
        if parameter.name in names and parameter.default is inspect.Parameter.empty
    }
    return Arguments(dict(_types.input_type_types(kind)), frozenset(required))


def plain(kind: Any) -> Any:
    """Return a type without Input, Optional and Awaitable around it."""
    if get_origin(kind) in (Union, getattr(__import__("types"), "UnionType", Union)):
        kept = [
            item
            for item in get_args(kind)
            if item is not type(None)
            and get_origin(item) is not collections.abc.Awaitable
            and "Output" not in getattr(get_origin(item) or item, "__name__", str(item))
        ]
        return plain(kept[0]) if kept else Any
    return kind


def item_of(kind: Any) -> Any:
    """Return the type of the items of a sequence or of the values of a mapping."""
    inner = get_args(plain(kind))
    return plain(inner[-1]) if inner else Any


def nested(kind: Any) -> Arguments | None:
    """Return the inputs of an object type, None for anything else."""
    kind = plain(kind)
    return of(kind) if isinstance(kind, type) and _types.is_input_type(kind) else None


def alternatives(kind: Any) -> list[Arguments]:
    """Return the object types that a value may be of, where the SDK names several."""
    if get_origin(kind) in (Union, getattr(__import__("types"), "UnionType", Union)):
        return [found for item in get_args(kind) for found in alternatives(item)]
    return [of(kind)] if isinstance(kind, type) and _types.is_input_type(kind) else []


def problems(known: Arguments, value: Properties, path: Path = ()) -> Iterator[Failure]:
    """Yield each name that the SDK does not know, each missing one, and each value of a wrong type."""
    for name in sorted(known.required - value.keys()):
        yield Failure((*path, name), "is required")
    for name, item in value.items():
        if name.startswith("__"):
            continue
        if name not in known.types:
            yield Failure((*path, name), f"is not one of {', '.join(sorted(known.types))}")
        elif item is not None:
            yield from _problems(known.types[name], item, (*path, name))


def _problems(kind: Any, value: Any, path: Path) -> Iterator[Failure]:
    if value == UNKNOWN:
        return
    family = alternatives(kind)
    if len(family) > 1 and isinstance(value, dict):
        yield from min(([*problems(member, value, path)] for member in family), key=len)
        return
    kind = plain(kind)
    inner = nested(kind)
    if inner is not None:
        if isinstance(value, dict):
            yield from problems(inner, value, path)
        else:
            yield Failure(path, f"should be an object, not {value!r}")
    elif get_origin(kind) is collections.abc.Sequence:
        if not isinstance(value, list):
            yield Failure(path, f"should be a list, not {value!r}")
            return
        for index, item in enumerate(value):
            yield from _problems(get_args(kind)[-1] if get_args(kind) else Any, item, (*path, index))
    elif get_origin(kind) is collections.abc.Mapping:
        if not isinstance(value, dict):
            yield Failure(path, f"should be a map, not {value!r}")
    elif kind in _ALLOWED and not _ALLOWED[kind](value):
        yield Failure(path, f"should be {kind.__name__}, not {value!r}")


_ALLOWED = {
    str: lambda value: isinstance(value, str | int | float) and not isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    bool: lambda value: isinstance(value, bool),
}
"""A number is turned into text by the engine's providers, too."""

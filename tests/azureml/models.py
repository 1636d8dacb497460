"""The REST models of Azure ML, API 2025-12-01, as azure-ai-ml carries them: what an input may hold, and must.

`problems` walks a wire input by its model: names, required ones, read-only ones, types, enums, and which model of a
family a discriminator chooses. An unknown value is of every type.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from types import ModuleType
from typing import Any

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_FORWARD = re.compile(r"_models\.(\w+)")
_DISCRIMINATORS = (
    "actionType", "authType", "computeType", "credentialsType", "datastoreType", "endpointComputeType", "identityType",
    "jobInputType", "jobLimitsType", "jobOutputType", "jobType", "scaleType", "triggerType", "type",
)  # fmt: skip


@cache
def _models() -> ModuleType:
    return importlib.import_module("azure.ai.ml._restclient.arm_ml_service.models")


@cache
def fields(model: type) -> Mapping[str, tuple[str, Any, bool]]:
    """Return, by wire name: the annotation as text, and what the field is (its visibility, whether it is required)."""
    found: dict[str, tuple[str, Any, bool]] = {}
    for base in reversed(inspect.getmro(model)):
        for name, text in inspect.get_annotations(base).items():
            field = base.__dict__.get(name)
            if field is not None and not name.startswith("_"):
                wire = getattr(field, "_rest_name_input", None) or name
                found[wire] = (str(text), field, "Optional" not in str(text) and "None" not in str(text))
    return found


def problems(name: str, value: Any, path: str = "") -> Iterator[str]:
    """Yield what is wrong with a value of a model, by its path."""
    if value == UNKNOWN:
        return
    if not isinstance(value, Mapping):
        yield f"{path}: {value!r} is no {name}"
        return
    model = _chosen(getattr(_models(), name), value)
    known = fields(model)
    for key in sorted(set(value) - set(known)):
        yield f"{path}.{key}: {model.__name__} has no such field"
    for key, (text, field, required) in known.items():
        if key not in value:
            if required and not _read_only(field):
                yield f"{path}.{key}: {model.__name__} demands it"
        elif _read_only(field):
            yield f"{path}.{key}: {model.__name__} only reads it"
        else:
            yield from _of_type(text, value[key], f"{path}.{key}")


def _chosen(model: type, value: Mapping[str, Any]) -> type:
    """Return the model of the family that the value's discriminator names."""
    for key in _DISCRIMINATORS:
        family = getattr(model, "__mapping__", {})
        if key in value and value[key] in family and family[value[key]] is not model:
            return _chosen(family[value[key]], value)
    return model


def _read_only(field: Any) -> bool:
    return getattr(field, "_visibility", None) == ["read"]


def _of_type(text: str, value: Any, path: str) -> Iterator[str]:
    if value == UNKNOWN:
        return
    inner = _FORWARD.findall(text)
    models = [found for found in inner if not issubclass(getattr(_models(), found), Enum)]
    enums = [found for found in inner if issubclass(getattr(_models(), found), Enum)]
    if "dict[" in text and isinstance(value, Mapping):
        for key, item in value.items():
            if models:
                yield from problems(models[0], item, f"{path}.{key}")
            elif "dict[str, str]" in text and not isinstance(item, str):
                yield f"{path}.{key}: {item!r} is no text"
    elif "list[" in text.lower() and isinstance(value, list):
        for number, item in enumerate(value):
            if models:
                yield from problems(models[0], item, f"{path}[{number}]")
    elif models:
        yield from problems(models[0], value, path)
    elif enums:
        values = {item.value for item in getattr(_models(), enums[0])}
        if value not in values:
            yield f"{path}: {value!r} is not one of {', '.join(sorted(map(str, values)))}"
    else:
        yield from _plain(text, value, path)


def _plain(text: str, value: Any, path: str) -> Iterator[str]:
    kinds: tuple[tuple[str, type | tuple[type, ...]], ...] = (
        ("bool", bool), ("int", int), ("float", (int, float)), ("timedelta", str), ("str", str),
    )  # fmt: skip
    for word, kind in kinds:
        if re.search(rf"\b{word}\b", text):
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                yield f"{path}: {value!r} is no {word}"
            elif word == "timedelta" and not re.fullmatch(r"P(?=.)(\d+D)?(T(\d+H)?(\d+M)?([\d.]+S)?)?", str(value)):
                yield f"{path}: {value!r} is no duration of ISO 8601"
            return

"""Vertex AI's REST v1, learnt from Google's own client: its paths, its messages, and what each message demands.

Paths are those of the client's REST transports; a body is read by `json_format`, which refuses what no message has;
required is what the documentation of a message calls so (the client's classes keep the comments of the protobufs, and
not their `field_behavior`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import proto  # type: ignore[import-untyped]
from google.cloud import aiplatform_v1
from google.protobuf import json_format

from tests.lab.gcp.server.answers import Asked, Failed

SERVICES = {
    "EndpointService": "endpoint_service",
    "ModelService": "model_service",
    "JobService": "job_service",
    "FeatureOnlineStoreAdminService": "feature_online_store_admin_service",
}
_VARIABLE = re.compile(r"\{([\w.]+)=([^}]+)\}")
_FIELD = re.compile(r"^ {4}(\w+) \(.*?\):\n {8}(?:Required|Output only|Immutable|Optional)?", re.M)


@dataclass(frozen=True)
class Operation:
    """One method of the API: its name and where it is."""

    name: str
    method: str
    path: re.Pattern[str]
    variables: tuple[str, ...]
    body: str | None

    @property
    def request(self) -> Any:
        return getattr(aiplatform_v1, f"{self.name}Request")


@cache
def operations() -> tuple[Operation, ...]:
    """Return every method of the services that the lab has."""
    return tuple(_learnt())


def _learnt() -> Iterator[Operation]:
    for service, module in SERVICES.items():
        base = import_module(f"google.cloud.aiplatform_v1.services.{module}.transports.rest_base")
        for name, inner in vars(getattr(base, f"_Base{service}RestTransport")).items():
            called = name.removeprefix("_Base")
            if not hasattr(aiplatform_v1, f"{called}Request") or not hasattr(inner, "_get_http_options"):
                continue
            for option in inner._get_http_options():
                yield Operation(called, option["method"].upper(), *_pattern(option["uri"]), option.get("body"))


def _pattern(uri: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    variables: list[str] = []
    text, end = "", 0
    for found in _VARIABLE.finditer(uri):
        variables.append(found[1])
        inner = re.escape(found[2]).replace(r"\*\*", ".+").replace(r"\*", "[^/:]+")
        text += f"{re.escape(uri[end : found.start()])}({inner})"
        end = found.end()
    return re.compile(text + re.escape(uri[end:])), tuple(variables)


def understood(asked: Asked) -> tuple[Operation, Any] | None:
    """Return the operation that is asked for and its message; None where the path is none of the API's.

    Raises:
        Failed: the message has something that the API does not know, or lacks something.
    """
    for operation in operations():
        match = operation.path.fullmatch(asked.path) if operation.method == asked.method else None
        if match is not None:
            return operation, _message(operation, asked, match.groups())
    return None


def _message(operation: Operation, asked: Asked, values: tuple[str, ...]) -> Any:
    body = asked.json() if operation.body else {}
    document: dict[str, Any] = body if operation.body == "*" else {operation.body: body} if operation.body else {}
    for name, listed in asked.query.items():
        if not name.startswith("$"):
            _put(document, name, listed if len(listed) > 1 else _typed(listed[0]))
    for name, value in zip(operation.variables, values, strict=True):
        _put(document, name, value)
    message = operation.request()
    try:
        json_format.ParseDict(document, type(message).pb(message))
    except json_format.ParseError as error:
        raise Failed("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from None
    partial = operation.name.startswith(("Update", "Mutate"))
    missing = list(_missing(message, document, deep=not partial))
    if missing:
        raise Failed("INVALID_ARGUMENT", f"Required field is not set: {', '.join(missing)}")
    return message


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for step in outer:
        document = document.setdefault(step, {})
    document[last] = value


def _typed(value: str) -> Any:
    return value == "true" if value in ("true", "false") else value


@cache
def required(kind: type) -> frozenset[str]:
    """Return the fields that the documentation of a message calls required."""
    text = inspect.getdoc(kind) or ""
    return frozenset(found[1] for found in _FIELD.finditer(text) if found[0].endswith("Required"))


def _missing(message: Any, document: Any, path: str = "", *, deep: bool) -> Iterator[str]:
    """Yield what is required and neither said nor has a value."""
    kind: Any = type(message)
    for name in sorted(required(kind)):
        if not _said(document, name) and not getattr(message, name, None):
            yield f"{path}{name}"
    if not deep:
        return
    for name in kind.meta.fields:
        inner = _of(document, name)
        value: Any = getattr(message, name, None)
        if isinstance(inner, dict) and isinstance(value, proto.Message):
            yield from _missing(value, inner, f"{path}{name}.", deep=True)
        elif isinstance(inner, list):
            for index, item in enumerate(inner):
                if isinstance(value[index], proto.Message):
                    yield from _missing(value[index], item, f"{path}{name}[{index}].", deep=True)


def _of(document: Any, name: str) -> Any:
    camel = re.sub(r"_(\w)", lambda found: found[1].upper(), name)
    return document.get(camel, document.get(name)) if isinstance(document, dict) else None


def _said(document: Any, name: str) -> bool:
    return _of(document, name) is not None


def shown(message: Any) -> dict[str, Any]:
    """Return a message as JSON."""
    made: dict[str, Any] = json_format.MessageToDict(type(message).pb(message))
    return made

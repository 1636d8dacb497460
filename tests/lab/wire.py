"""Properties as the engine sends them: unknown values, secrets, numbers, paths, and where two differ.

Signatures: pulumi sdk, `proto/pulumi/provider.proto` and `pulumi.runtime.rpc`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import struct_pb2

from mlinfra.wire import fields

Path = tuple[str | int, ...]
Properties = dict[str, Any]

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands for a value of any type that only the cloud will say."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"


def shown(path: Path) -> str:
    """Return a path as the engine writes it: `productionVariants[0].instanceType`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def to_struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return properties in the form of the wire."""
    made = struct_pb2.Struct()
    made.update(dict(value))
    return made


def opened(struct: struct_pb2.Struct) -> tuple[Properties, set[Path]]:
    """Return properties without the wrappers of secrets, and the paths at which there was one."""
    secrets: set[Path] = set()
    value = _open(fields(struct), (), secrets)
    return value, secrets


def _open(value: Any, path: Path, secrets: set[Path]) -> Any:
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            secrets.add(path)
            return _open(value["value"], path, secrets)
        return {key: _open(item, (*path, key), secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_open(item, (*path, index), secrets) for index, item in enumerate(value)]
    return value


def sealed(value: Any, secrets: set[Path], path: Path = ()) -> Any:
    """Return a value with what is at the paths of `secrets` wrapped as secret."""
    if isinstance(value, Mapping):
        inner: Any = {key: sealed(item, secrets, (*path, key)) for key, item in value.items()}
    elif isinstance(value, list):
        inner = [sealed(item, secrets, (*path, index)) for index, item in enumerate(value)]
    else:
        inner = value
    return {_SIGNATURE: _SECRET, "value": inner} if path in secrets else inner


def has_unknown(value: Any) -> bool:
    """Say whether something in a value is not known yet."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return bool(value == UNKNOWN)


def differences(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, bool, bool]]:
    """Yield each path at which two values differ, whether the old one has it, and whether the new one has it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            if key not in old or key not in new:
                yield (*path, key), key in old, key in new
            else:
                yield from differences(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index >= len(old) or index >= len(new):
                yield (*path, index), index < len(old), index < len(new)
            else:
                yield from differences(old[index], new[index], (*path, index))
    elif old != new or (isinstance(old, bool) is not isinstance(new, bool)):
        yield path, True, True

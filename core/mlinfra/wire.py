"""Properties as the engine's protocol sends them (pulumi sdk, proto/pulumi/*.proto: google.protobuf.Struct)."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2

_EXACT = 2**53


def plain(value: struct_pb2.Value) -> Any:
    """Return a value as Python has it, keys in order; whole numbers come back as integers."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return fields(value.struct_value)
    if kind == "list_value":
        return [plain(item) for item in value.list_value.values]
    if kind == "number_value":
        whole = value.number_value.is_integer() and abs(value.number_value) < _EXACT
        return int(value.number_value) if whole else value.number_value
    return getattr(value, kind) if kind and kind != "null_value" else None


def fields(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return the fields of an object, in order."""
    return {key: plain(item) for key, item in sorted(struct.fields.items())}

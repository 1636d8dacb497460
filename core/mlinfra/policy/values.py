"""Reading wire inputs: absent, known, unknown, and what stands at a path."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

from mlinfra.resources import SECRET, UNKNOWN

_STEP = re.compile(r"\.?(?:\['(?P<quoted>[^']*)'\]|(?P<every>\[\]|\{\})|(?P<name>[^.\[\]{}]+))")


class _Keys(NamedTuple):
    """Keys of objects, each below the one before it, with the path above each, and the path down to the last."""

    steps: tuple[tuple[str, str], ...]
    down: str


@dataclass(frozen=True, slots=True)
class Value:
    """What stands at a path, with the path as a person writes it: `productionVariants[0].instanceType`.

    `value` is None where nothing stands there.
    """

    path: str
    value: Any

    @property
    def unknown(self) -> bool:
        """Whether it is known only after an `up`."""
        return is_unknown(self.value)

    @property
    def hidden(self) -> bool:
        """Whether it cannot be read now: it is known only after an `up`, or a secret."""
        return self.unknown or bool(self.value == SECRET)

    @property
    def absent(self) -> bool:
        """Whether nothing is said, so that the provider's default holds: null and an empty text say nothing."""
        return is_absent(self.value)


def is_unknown(value: Any) -> bool:
    """Whether a value is known only after an `up`."""
    return isinstance(value, str) and value == UNKNOWN


def is_absent(value: Any) -> bool:
    """Whether a value says nothing: absent, null and an empty text mean the provider's default."""
    return value is None or value == ""


def at(inputs: Any, path: str) -> Value:
    """Return what stands at a path such as `encryptionSpec.kmsKeyName` or `metadata.labels['app.kubernetes.io/name']`.

    Below an unknown or a secret value everything is unknown; below something that is no object there is nothing.
    `inputs` may be a value that was found before: its path goes on.
    """
    keys, deeper = _parsed(path)
    if deeper:
        raise ValueError(f"{path!r} may mean several values; use every()")
    return _below(inputs, keys)


def every(inputs: Any, path: str) -> list[Value]:
    """Return all that stands at a path with `[]` (each item of a list) or `{}` (each value of an object).

    Where the list is absent there is nothing; an unknown list is one unknown value, under the list's own path.
    Without `[]` and `{}` there is always exactly one. `inputs` may be a value that was found before: its path goes on.
    """
    keys, deeper = _parsed(path)
    found = [_below(inputs, keys)]
    for mark, keys in deeper:
        found = [_below(item, keys) for outer in found for item in _items(outer, mark)]
    return found


def number(value: Any) -> float | None:
    """Return a number that may have been written as a text, or None where it is none. True and nan are no numbers."""
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(found) else found


def is_true(value: Any) -> bool:
    """Whether a value says yes: true, or the text of it in any case (some providers send texts)."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


def is_false(value: Any) -> bool:
    """Whether a value says no. Absent is neither yes nor no."""
    return value is False or (isinstance(value, str) and value.lower() == "false")


@lru_cache(maxsize=4096)
def _parsed(path: str) -> tuple[_Keys, tuple[tuple[str, _Keys], ...]]:
    """Return the keys that a path begins with, and each `[]` or `{}` of it with the keys that follow."""
    marks: list[str] = []
    runs: list[list[str]] = [[]]
    end = 0
    for match in _STEP.finditer(path):
        if match.start() != end:
            break
        end = match.end()
        if match["every"]:
            marks.append(match["every"])
            runs.append([])
        else:
            runs[-1].append(match["name"] if match["quoted"] is None else match["quoted"])
    if end != len(path):
        raise ValueError(f"{path!r} is no path: cannot read {path[end:]!r}")
    first, *others = map(_keys, runs)
    return first, tuple(zip(marks, others, strict=True))


def _keys(names: list[str]) -> _Keys:
    *above, down = accumulate(names, _joined, initial="")
    return _Keys(tuple(zip(names, above, strict=True)), down)


def _below(inputs: Any, keys: _Keys) -> Value:
    path, value = (inputs.path, inputs.value) if isinstance(inputs, Value) else ("", inputs)
    steps, down = keys
    for name, above in steps:
        if isinstance(value, dict):
            value = value.get(name)
        elif value is None:
            break
        elif value in (UNKNOWN, SECRET):
            value, down = UNKNOWN, above
            break
        else:
            value = value.get(name) if isinstance(value, Mapping) else None
    if path and down:
        return Value(f"{path}{down}" if down[0] == "[" else f"{path}.{down}", value)
    return Value(path or down, value)


def _items(outer: Value, mark: str) -> list[Value]:
    value = outer.value
    if value is None:
        return []
    if value in (UNKNOWN, SECRET):
        return [Value(outer.path, UNKNOWN)]
    if mark == "[]":
        items = value if isinstance(value, list) else []
        return [Value(f"{outer.path}[{number}]", item) for number, item in enumerate(items)]
    fields = value if isinstance(value, Mapping) else {}
    # such as __defaults, which bridged providers write into every object: bookkeeping
    return [Value(_joined(outer.path, key), item) for key, item in fields.items() if key[:2] != "__"]


def _joined(path: str, key: str) -> str:
    if not key.isidentifier() and not re.fullmatch(r"[\w$-]+", key):
        return f"{path}['{key}']"
    return f"{path}.{key}" if path else key

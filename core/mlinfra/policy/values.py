"""Reading wire inputs: absent, known, unknown, and what stands at a path."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

from mlinfra.resources import SECRET, UNKNOWN

_STEP = re.compile(r"\.?(?:\['(?P<quoted>[^']*)'\]|(?P<every>\[\]|\{\})|(?P<name>[^.\[\]{}]+))")


@dataclass(frozen=True)
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
    if isinstance(inputs, Value):
        [found] = every(inputs, path)
        return found
    keys, written = _keys(path)
    value = inputs
    for number, key in enumerate(keys):
        if isinstance(value, dict):
            value = value.get(key)
        elif is_unknown(value) or value == SECRET:
            return Value(written[number], UNKNOWN)
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return Value(written[-1], value)


def every(inputs: Any, path: str) -> list[Value]:
    """Return all that stands at a path with `[]` (each item of a list) or `{}` (each value of an object).

    Where the list is absent there is nothing; an unknown list is one unknown value, under the list's own path.
    Without `[]` and `{}` there is always exactly one. `inputs` may be a value that was found before: its path goes on.
    """
    found = [inputs if isinstance(inputs, Value) else Value("", inputs)]
    for step in _steps(path):
        found = [inner for outer in found for inner in _below(outer, step)]
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
def _keys(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the keys of a path without lists, and the path down to each of them."""
    keys = tuple(step[1:] for step in _steps(path) if step[0] == ".")
    if len(keys) != len(_steps(path)):
        raise ValueError(f"{path!r} may mean several values; use every()")
    return keys, tuple(accumulate(keys, _joined, initial=""))


@lru_cache(maxsize=4096)
def _steps(path: str) -> tuple[str, ...]:
    steps, end = [], 0
    for match in _STEP.finditer(path):
        if match.start() != end:
            break
        end = match.end()
        steps.append(match["every"] or f".{match['quoted'] if match['quoted'] is not None else match['name']}")
    if end != len(path):
        raise ValueError(f"{path!r} is no path: cannot read {path[end:]!r}")
    return tuple(steps)


def _below(outer: Value, step: str) -> list[Value]:
    value = outer.value
    if is_unknown(value) or value == SECRET:
        return [Value(outer.path, UNKNOWN)]
    if step == "[]":
        items = value if isinstance(value, list) else []
        return [Value(f"{outer.path}[{number}]", item) for number, item in enumerate(items)]
    if step == "{}":
        fields = value if isinstance(value, Mapping) else {}
        # such as __defaults, which bridged providers write into every object: bookkeeping
        return [Value(_joined(outer.path, key), item) for key, item in fields.items() if key[:2] != "__"]
    key = step[1:]
    return [Value(_joined(outer.path, key), value.get(key) if isinstance(value, Mapping) else None)]


def _joined(path: str, key: str) -> str:
    if not key.isidentifier() and not re.fullmatch(r"[\w$-]+", key):
        return f"{path}['{key}']"
    return f"{path}.{key}" if path else key

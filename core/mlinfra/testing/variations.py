"""Variations: every field of every part, changed in turn. Generated from the declarations' types."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import combinations, product
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.feature_store import FeatureStore, Source
from mlinfra.declarations.part import Declaration, Identifier, Name, Part
from mlinfra.declarations.training_job import Script
from mlinfra.durations import Duration
from mlinfra.environment import Environment
from mlinfra.problems import Problems
from mlinfra.testing.specimens import BY_HAND, ENVIRONMENT, FULL, KINDS, OTHERS, PLACE, SMALL

IDENTITY = ("name", "renamed_from")
"""Fields of every part that the contract examines by tests of their own: names, and renaming."""

_TEXTS: tuple[tuple[Any, str], ...] = (
    (Duration, "7m"),
    (Source, "other.py:other_rows"),
    (Script, "other.py"),
    (Identifier, "another"),
    (Name, "another"),
)


@dataclass(frozen=True)
class Scene:
    """One part with what it is made of, where it is declared, and by whom."""

    part: Part
    environment: Mapping[str, Any] = field(default_factory=dict)
    owner: str = "owner@example.com"
    code: str = "sha256:" + "c" * 64
    frozen: bool = True


@dataclass(frozen=True)
class Variation:
    """Two scenes that differ in one field, which has `value` in the second; `field` is `Endpoint.scale.max`."""

    field: str
    value: Any
    before: Scene
    after: Scene


@cache
def hints(owner: type) -> Mapping[str, Any]:
    """Return the types of a declaration's fields, in their order."""
    found = get_type_hints(owner, include_extras=True)
    return {item.name: found[item.name] for item in dataclasses.fields(owner)}


def fields_of(kind: type[Part]) -> list[str]:
    """Return every field of a kind, those of its nested declarations included: `Endpoint.scale.max`."""
    found: list[str] = []

    def walk(owner: type, prefix: str) -> None:
        for name, hint in hints(owner).items():
            if issubclass(owner, Part) and name in IDENTITY:
                continue
            found.append(f"{prefix}.{name}")
            for inner in _declarations(hint):
                walk(inner, f"{prefix}.{name}")

    walk(kind, kind.__name__)
    return list(dict.fromkeys(found))


def fields() -> list[str]:
    """Return every field that must not be ignored: of parts, of environments, and of what is around them."""
    return [
        *(name for kind in KINDS for name in fields_of(kind)),
        *(f"Environment.{name}" for name in (*ENVIRONMENT, *_place_fields())),
        "Stack.owner",
        "Stack.code",
        "Deployment.frozen",
    ]


def _place_fields() -> Iterator[str]:
    for name, (value, _) in PLACE.items():
        yield name
        if _is_nested(name):
            yield from (f"{name}.{inner}" for inner in value)


def _is_nested(name: str) -> bool:
    return isinstance(PLACE[name][0], Mapping) and Environment.model_fields[name].default is None


def variations(place: Mapping[str, tuple[Any, Any]] | None = None) -> Iterator[Variation]:
    """Yield the variations of all fields, and then each pair of values that a field was changed to.

    `place` holds an adapter's own values for fields of an environment. Without the pairs a value could hide behind its
    neighbour: all differ from `webhook`, because its URL goes.
    """
    for kind in KINDS:
        found = [item for item in _of_kind(kind) if isinstance(item, Variation)]
        yield from found
        yield from _pairs(found)
    yield from _of_surroundings(place or {})


def refused_by_declaration(kind: type[Part]) -> Mapping[str, list[str]]:
    """Return, by field, what the declaration itself says to values that the field's type would allow."""
    refused: dict[str, list[str]] = {}
    for item in _of_kind(kind):
        if isinstance(item, tuple):
            refused.setdefault(item[0], []).append(item[1])
    return refused


def _of_kind(kind: type[Part]) -> Iterator[Variation | tuple[str, str]]:
    """Yield the variations of a kind; for a value that a declaration refuses, the field and what it says."""
    small = SMALL[kind]
    for full, (name, hint) in product(FULL[kind], hints(kind).items()):
        if name in IDENTITY:
            continue
        label, value = f"{kind.__name__}.{name}", getattr(full, name)
        before = dataclasses.replace(small, **{name: value})
        if value != getattr(small, name):
            yield Variation(label, value, Scene(small), Scene(before))
        for inner_label, made in _changes(label, hint, value):
            try:
                whole, shown = made()
                after = dataclasses.replace(before, **{name: whole})
            except Problems as problems:
                yield inner_label, problems.message
            else:
                yield Variation(inner_label, shown, Scene(before), Scene(after))


def _pairs(found: Sequence[Variation]) -> Iterator[Variation]:
    for one, other in combinations(found, 2):
        if one.field == other.field and one.before == other.before and one.after != other.after:
            yield Variation(one.field, other.value, one.after, other.after)


def _of_surroundings(place: Mapping[str, tuple[Any, Any]]) -> Iterator[Variation]:
    # a monitor is made of a part of every kind but a feature store
    monitor = SMALL[DriftMonitor]
    posting = dataclasses.replace(monitor, on_drift="webhook")  # type: ignore[call-arg]
    for name, specimens in ENVIRONMENT.items():
        one, other = place.get(name, specimens)
        part = posting if name == "webhook" else monitor
        yield Variation(f"Environment.{name}", other, Scene(part, {name: one}), Scene(part, {name: other}))
    for part in (SMALL[DriftMonitor], SMALL[FeatureStore]):
        other = "other@example.com"
        yield Variation("Stack.owner", other, Scene(part), Scene(part, owner=other))
        digest = "sha256:" + "d" * 64
        yield Variation("Stack.code", digest, Scene(part), Scene(part, code=digest))
    yield Variation("Deployment.frozen", False, Scene(monitor), Scene(monitor, frozen=False))
    for name, specimens in PLACE.items():
        one, other = place.get(name, specimens)
        unset = Environment.model_fields[name].get_default(call_default_factory=True)
        changes: list[tuple[str, Any, Any]] = [(name, unset, one), (name, one, other)]
        if _is_nested(name):
            inner = {**specimens[1], **other}
            changes += [(f"{name}.{key}", one, {**one, key: value}) for key, value in inner.items()]
        for field_name, before, after in changes:
            yield Variation(
                f"Environment.{field_name}", after, Scene(monitor, {name: before}), Scene(monitor, {name: after})
            )


_Made = Callable[[], tuple[Any, Any]]
"""Makes the changed value, and what to show of it; raises Problems where a declaration refuses it."""


def _changes(label: str, hint: Any, value: Any) -> Iterator[tuple[str, _Made]]:
    """Yield changed values, each with the label of the field that differs."""
    for item in BY_HAND.get(label, ()):
        yield label, _constant(item)
    options = _options(hint)
    if type(None) in options and value is not None:
        yield label, _constant(None)
    if isinstance(value, Part):
        if type(value) in OTHERS and OTHERS[type(value)] != value:
            yield label, _constant(OTHERS[type(value)])
    elif isinstance(value, Declaration):
        for name, inner in hints(type(value)).items():
            for inner_label, made in _changes(f"{label}.{name}", inner, getattr(value, name)):
                yield inner_label, _replacing(value, name, made)
    elif isinstance(value, Mapping):
        yield from _changes_of_mapping(label, options, value)
    elif isinstance(value, list | tuple):
        yield from _changes_of_sequence(label, options, value)
    else:
        for item in _scalars(hint, options, value):
            yield label, _constant(item)


def _changes_of_mapping(label: str, options: list[Any], value: Mapping[str, Any]) -> Iterator[tuple[str, _Made]]:
    inner = _inner(options)
    for key, item in value.items():
        yield label, _constant({name: kept for name, kept in value.items() if name != key})
        yield label, _constant({**value, "another": item})
        for inner_label, made in _changes(label, inner, item):
            yield inner_label, _within(partial(_with_key, value, key), made)


def _changes_of_sequence(label: str, options: list[Any], value: Sequence[Any]) -> Iterator[tuple[str, _Made]]:
    inner = _inner(options)
    for index, item in enumerate(value):
        rest = [kept for position, kept in enumerate(value) if position != index]
        yield label, _constant(tuple(rest))
        for inner_label, made in _changes(label, inner, item):
            yield inner_label, _within(partial(_with_item, value, index), made)
            yield label, _within(partial(_with_item, value, len(value)), made)


def _with_key(value: Mapping[str, Any], key: str, new: Any) -> dict[str, Any]:
    return {**value, key: new}


def _with_item(value: Sequence[Any], index: int, new: Any) -> tuple[Any, ...]:
    return (*value[:index], new, *value[index + 1 :])


def _scalars(hint: Any, options: list[Any], value: Any) -> Iterator[Any]:
    for option in options:
        if get_origin(option) is Literal:
            yield from (choice for choice in get_args(option) if choice != value)
            return
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, float):
        yield from (value * 2, value / 2)
    else:
        for kind, text in _TEXTS:
            if kind == hint or any(kind == option for option in _branches(hint)):
                yield text


def _constant(value: Any) -> _Made:
    return lambda: (value, value)


def _replacing(value: Declaration, name: str, made: _Made) -> _Made:
    def make() -> tuple[Any, Any]:
        new, shown = made()
        return dataclasses.replace(value, **{name: new}), shown  # type: ignore[type-var]

    return make


def _within(wrap: Callable[[Any], Any], made: _Made) -> _Made:
    def make() -> tuple[Any, Any]:
        new, shown = made()
        return wrap(new), shown

    return make


def _branches(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _options(hint: Any) -> list[Any]:
    """Return what a value of this type can be, without the constraints on it."""
    found: list[Any] = []
    for branch in _branches(hint):
        bare = branch
        while get_origin(bare) is Annotated:
            bare = get_args(bare)[0]
        found += _options(bare) if bare is not branch else [bare]
    return found


def _inner(options: list[Any]) -> Any:
    """Return the type of a list's or a mapping's values."""
    return next((get_args(option)[-1] for option in options if get_args(option)), Any)


def _declarations(hint: Any) -> Iterator[type[Declaration]]:
    for option in _options(hint):
        if isinstance(option, type) and issubclass(option, Declaration):
            if not issubclass(option, Part):
                yield option
        elif get_origin(option) is not Literal:
            for inner in get_args(option):
                yield from _declarations(inner)

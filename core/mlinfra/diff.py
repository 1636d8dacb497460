"""The offline difference: what is declared against what was declared at the last `up`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mlinfra.resources import CHOSEN, UNKNOWN, Resource, Resources


class Change(StrEnum):
    """What an `up` does to a resource. `MAY_REPLACE`: nobody has said what a change of this input does."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    MAY_REPLACE = "may replace"
    DELETE = "delete"


EFFECTS: Mapping[Change, str] = {
    Change.SAME: "none",
    Change.CREATE: "new",
    Change.UPDATE: "in place",
    Change.REPLACE: "replaced",
    Change.MAY_REPLACE: "may replace",
    Change.DELETE: "removed",
}


@dataclass(frozen=True)
class PropertyChange:
    """One input that differs; `before` and `after` are None where it is not there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class ResourceChange:
    """What happens to one resource, and whether its data would be gone."""

    resource: Resource
    part: str | None
    change: Change
    properties: Sequence[PropertyChange] = ()
    destroys_data: bool = False
    loses: str = ""
    """What the change would take from those who read the data, as the adapter says."""

    @property
    def effect(self) -> str:
        """How it happens: none, new, in place, replaced, may replace, removed, or DESTROYS DATA."""
        return "DESTROYS DATA" if self.destroys_data else EFFECTS[self.change]

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `plan --json` prints under `parts`."""
        return {
            "urn": self.resource.urn,
            "type": self.resource.type,
            "name": self.resource.name,
            "change": self.change.value,
            "effect": self.effect,
            "destroys_data": self.destroys_data,
            "properties": [{"path": item.path, "before": item.before, "after": item.after} for item in self.properties],
        }


def difference(
    declared: Resources,
    state: Resources,
    replaced_by: Callable[[str], frozenset[str] | None],
    kept_by: Callable[[str], frozenset[str]] = lambda _: frozenset(),
    loses: Callable[[str, Mapping[str, Any], Mapping[str, Any]], str | None] = lambda *_: None,
) -> list[ResourceChange]:
    """Compare declared inputs with the inputs of the last `up`, property by property, sorted by part.

    `replaced_by` answers, for a type, the inputs whose change replaces it, or None where that is not known;
    `kept_by` those that an `up` leaves as they are. A protected resource holds data; replacing or deleting one
    would destroy it. `loses` says which changes would, too, though the resource could stay; they replace it.
    """
    before = {resource.urn: resource for resource in state.declared()}
    changes: list[ResourceChange] = []
    for resource in declared.declared():
        urn = resource.urn if resource.urn in before else _former(resource, before)
        part = declared.part_of(resource)
        if urn is None:
            changes.append(ResourceChange(resource, part, Change.CREATE))
            continue
        known = before.pop(urn)
        kept = kept_by(resource.type)
        # a name that the provider made up is an input in the state, and declared by nobody
        kept |= set(known.chosen) - set(resource.inputs)
        before_inputs, after_inputs = (
            {name: _declared(value) for name, value in inputs.items() if name not in kept}
            for inputs in (known.inputs, resource.inputs)
        )
        ignored = resource.ignore_changes
        differing = property_changes(before_inputs, after_inputs)
        properties = [item for item in differing if not _ignores(ignored, item.path)]
        change = _change(properties, replaced_by(resource.type))
        lost = (loses(resource.type, known.inputs, resource.inputs) or "") if change is Change.UPDATE else ""
        if lost:
            change = Change.REPLACE
        gone = bool(lost) or (change in (Change.REPLACE, Change.MAY_REPLACE) and known.protect)
        changes.append(ResourceChange(resource, part, change, properties, gone, lost))
    for resource in before.values():
        changes.append(ResourceChange(resource, state.part_of(resource), Change.DELETE, destroys_data=resource.protect))
    return sorted(changes, key=lambda change: (change.part or "~", change.resource.urn))


def _declared(value: Any) -> Any:
    """Return a value without what a provider chose in it."""
    if isinstance(value, Mapping):
        chosen = {CHOSEN, *(value.get(CHOSEN) or ())}
        return {key: _declared(item) for key, item in value.items() if key not in chosen}
    return [_declared(item) for item in value] if isinstance(value, list) else value


def _former(resource: Resource, before: Mapping[str, Resource]) -> str | None:
    if not resource.aliases:
        return None
    names = resource.aliases
    return next((urn for urn, known in before.items() if known.type == resource.type and known.name in names), None)


def _ignores(ignored: Sequence[str], path: str) -> bool:
    return any(entry == "*" or path == entry or path.startswith((f"{entry}.", f"{entry}[")) for entry in ignored)


def _change(properties: Sequence[PropertyChange], immutable: frozenset[str] | None) -> Change:
    if not properties:
        return Change.SAME
    if immutable is None:
        return Change.MAY_REPLACE
    touched = {item.path.split(".")[0].split("[")[0] for item in properties}
    return Change.REPLACE if touched & immutable else Change.UPDATE


def property_changes(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[PropertyChange]:
    """Return what differs, by path. A value that is not known yet is taken to stay what it was."""
    found: list[PropertyChange] = []
    for key in sorted({*before, *after}):
        path = f"{prefix}{key}"
        old, new = before.get(key), after.get(key)
        if (new == UNKNOWN and key in before) or (new != UNKNOWN and _same(old, new)):
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += property_changes(old, new, f"{path}.")
        else:
            found.append(PropertyChange(path, old, new))
    return found


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_same(one, other) for one, other in zip(old, new, strict=True))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return not property_changes(old, new)
    # in Python True == 1, on the wire they are two values
    return new == UNKNOWN or (isinstance(old, bool) == isinstance(new, bool) and bool(old == new))

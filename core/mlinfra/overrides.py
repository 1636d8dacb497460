"""Overrides: declared values that differ in one environment, by path."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from mlinfra.declarations.part import Declaration, Part, problems_of
from mlinfra.problems import nearest

P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class _Leaf:
    path: str
    value: Any


_Tree = dict[str, "_Tree | _Leaf"]


class Overrides:
    """The environment's `override:`, applied to declared parts.

    All that concern a part are applied together and validated once, so their order in the file does not matter.
    `report(path, message, **notes)` is told what does not fit; for a part and its releases, the same more than once.
    """

    def __init__(self, override: Mapping[str, Any], report: Callable[..., None]) -> None:
        self._override = override
        self._report = report
        self._used: set[str] = set()

    def apply(self, part: P, key: str) -> P:
        """Return the part with the overrides of `key`; the part itself where they do not fit."""
        tree: _Tree = {}
        for path in sorted(self._override):
            if path == key:
                self._used.add(path)
                self._report(path, "names a part, not one of its fields", remedy=f"write {path}.FIELD: VALUE")
            elif path.startswith(f"{key}."):
                self._used.add(path)
                self._grow(tree, path, path.removeprefix(f"{key}.").split("."))
        changed = self._changed(part, tree) if tree else part
        return changed if isinstance(changed, type(part)) else part

    def report_unused(self, keys: Iterable[str]) -> None:
        """Report the overrides that named none of the parts."""
        known = list(keys)
        for path in self._override:
            if path not in self._used:
                near = nearest(".".join(path.split(".")[:2]), known)
                self._report(path, "names no part here", expected=", ".join(known), nearest=near)

    def _grow(self, tree: _Tree, path: str, steps: list[str]) -> None:
        for step in steps[:-1]:
            node = tree.setdefault(step, {})
            if isinstance(node, _Leaf):
                self._report(path, f"lies inside {node.path}, which is overridden too", remedy="write one of them")
                return
            tree = node
        # sorted paths: what this one lies inside came before it, and nothing inside of it did
        tree[steps[-1]] = _Leaf(path, self._override[path])

    def _changed(self, value: Any, tree: _Tree) -> Any:
        """Return the value with the tree's overrides, or None after a report."""
        if isinstance(value, Mapping):
            return self._changed_mapping(value, tree)
        if not isinstance(value, Declaration):
            names = ", ".join(map(repr, tree))
            self._report(_first(tree), f"there is nothing below this value to set {names} of", found=repr(value)[:60])
            return None
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}  # type: ignore[arg-type]
        good = True
        for step, node in tree.items():
            path = _first(node)
            if step not in fields:
                near = nearest(step, fields)
                self._report(path, f"{step!r} is no field", expected=", ".join(fields), nearest=near)
                good = False
            elif step in ("name", "renamed_from") or isinstance(fields[step], Part):
                self._report(path, f"{step!r} is the same in every environment", remedy="change the stack")
                good = False
            elif isinstance(node, _Leaf):
                fields[step] = node.value
            elif (inner := self._changed(fields[step], node)) is not None:
                fields[step] = inner
            else:
                good = False
        # made in any case: what is wrong with the other fields is said too
        made = self._made(type(value), fields, tree)
        return made if good else None

    def _changed_mapping(self, value: Mapping[str, Any], tree: _Tree) -> dict[str, Any] | None:
        made = dict(value)
        good = True
        for step, node in tree.items():
            if isinstance(node, _Leaf):
                made[step] = node.value
            elif step in value:
                made[step] = self._changed(value[step], node)
                good = good and made[step] is not None
            else:
                self._report(_first(node), f"{step!r} is not there", expected=", ".join(map(str, value)))
                good = False
        return made if good else None

    def _made(self, kind: type[Declaration], fields: Mapping[str, Any], tree: _Tree) -> Declaration | None:
        try:
            made: Declaration = type.__call__(kind, **fields)
        except ValidationError as error:
            for problem in problems_of(error, kind, file="", line=0, prefix=""):
                head, _, rest = problem.path.partition(".")
                path = _first(tree[head]) if head in tree else _first(tree)
                message = f"{rest if head in tree else problem.path} {problem.message}".strip()
                self._report(path, message, found=problem.found, expected=problem.expected, nearest=problem.nearest)
            return None
        return made


def _first(node: _Tree | _Leaf) -> str:
    while not isinstance(node, _Leaf):
        node = next(iter(node.values()))
    return node.path

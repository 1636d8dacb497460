"""A stack: a declared set of parts that belong together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from mlinfra.declarations.part import Name, Part, caller, report
from mlinfra.problems import Problem

P = TypeVar("P", bound=Part)


class Stack:
    """Parts with a name and an owner (a person's or team's address); `add` keeps the order of declaration."""

    def __init__(self, name: str, *, owner: str) -> None:
        self.name = name
        self.owner = owner
        self._parts: dict[str, Part] = {}
        file, line = caller()
        try:
            TypeAdapter(Name).validate_python(name)
        except ValidationError:
            expected = "lower-case words joined by hyphens, at most 63 characters"
            report(Problem(file, line, "Stack", "the name is not valid", found=repr(name), expected=expected))
        if not isinstance(owner, str) or not owner.strip():
            report(Problem(file, line, "Stack", "owner is empty", expected="whom to ask: an address"))

    def add(self, part: P) -> P:
        """Add a part and return it, so that others can refer to it.

        Raises:
            Problems: not a part, or the stack has a part of this kind and name, or misses one it is made of.
        """
        file, line = caller()
        if not isinstance(part, Part):
            report(Problem(file, line, f"Stack({self.name!r})", "is no part", found=repr(part)[:80]))
            return part
        if part.key in self._parts:
            report(Problem(file, line, part.key, "is declared twice", remedy="rename one of them"))
        for reference in part.references():
            if self._parts.get(reference.key) is not reference:
                report(
                    Problem(
                        file, line, part.key, f"is made of {reference.key}, which was not added to this stack",
                        remedy=f"stack.add(…) {reference.key} before {part.key}",
                    )
                )  # fmt: skip
        self._parts[part.key] = part
        return part

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts; what a part is made of comes before it."""
        return tuple(self._parts.values())

    def of_kind(self, kind: type[P]) -> Iterator[P]:
        """Yield the parts of one kind."""
        return (part for part in self._parts.values() if isinstance(part, kind))

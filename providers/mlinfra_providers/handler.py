"""What a resource of the plugin `mlinfra` is: its inputs, and how it is made, changed, read and removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """What `read` found: the inputs that would declare what is really there, and the outputs.

    The inputs matter: a refresh that returned outputs alone would let the next `up` undo what it found.
    """

    inputs: Properties
    outputs: Properties


class Handler:
    """One type of resource. Every operation may be killed, and may be run again: do, or find it done."""

    immutable: ClassVar[frozenset[str]] = frozenset()
    """Inputs whose change replaces the resource."""

    outputs: ClassVar[tuple[str, ...]] = ()
    """The outputs that are known only after it was made."""

    kept: ClassVar[frozenset[str]] = frozenset()
    """Inputs that an `up` leaves as they are, unless the declared `generation` is newer."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository

    def check(self, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Yield (input, reason) for what cannot be."""
        return ()

    def loses(self, old: Properties, new: Properties) -> str | None:
        """Return what this change would take from those who read the data, or None."""
        return None

    def differs(self, old: Properties, new: Properties) -> frozenset[str]:
        """Return the inputs whose difference is a change to make."""
        newer = bool(self.kept) and new.get("generation", 0) > old.get("generation", 0)
        left_alone = frozenset() if newer else self.kept
        return frozenset(key for key in {*old, *new} - left_alone if old.get(key) != new.get(key))

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Make it, or find it made; return its id and outputs."""
        raise NotImplementedError

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return what is really there, or None when it is gone."""
        raise NotImplementedError

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Change it in place; return its outputs."""
        raise NotImplementedError

    def delete(self, id_: str, inputs: Properties) -> None:
        """Remove it, or find it gone."""
        raise NotImplementedError

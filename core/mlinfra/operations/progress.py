"""How an operation tells what it is doing. The command line shows it; a test may collect it."""

from __future__ import annotations

from typing import Protocol

from mlinfra.engine_events import Step


class Progress(Protocol):
    """Told what happens, as it happens."""

    def phase(self, title: str) -> None:
        """A new phase begins; the one before it has ended."""
        ...

    def step(self, step: Step) -> None:
        """The engine begins or ends one resource."""
        ...

    def note(self, text: str) -> None:
        """Something that is worth a line."""
        ...


class Silent:
    """Shows nothing."""

    def phase(self, title: str) -> None:
        """Ignore the title."""

    def step(self, step: Step) -> None:
        """Ignore the step."""

    def note(self, text: str) -> None:
        """Ignore the text."""

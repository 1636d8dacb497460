"""Problems: everything that is wrong with what a user wrote, collected and shown at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong, and the way out.

    `file` is relative to the repository (empty where no file is at fault), `line` counts from 1 (0: not known),
    `path` is the dotted path inside the file or the part (`endpoints.flight-delay.scale.max`).
    """

    file: str
    line: int
    path: str
    message: str
    found: str = ""
    expected: str = ""
    nearest: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        where = ":".join(piece for piece in (self.file, str(self.line) if self.line else "") if piece)
        head = ": ".join(piece for piece in (where, self.path, self.message) if piece)
        notes = [
            f"found {self.found}" if self.found else "",
            f"expected {self.expected}" if self.expected else "",
            f"did you mean {self.nearest!r}?" if self.nearest else "",
        ]
        tail = ", ".join(note for note in notes if note)
        lines = [f"{head} ({tail})" if tail else head]
        if self.remedy:
            lines.append(f"  → {self.remedy}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the problem in the shape that `--json` prints."""
        return {
            "file": self.file or None,
            "line": self.line or None,
            "path": self.path or None,
            "message": self.message,
            "found": self.found or None,
            "expected": self.expected or None,
            "nearest": self.nearest or None,
            "remedy": self.remedy or None,
        }


class MlinfraError(Exception):
    """What a user sees as an error: a message, the way out, and the exit code. Never shown as a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class WrongUse(MlinfraError):
    """An argument that cannot be used; nothing was changed. Exit code 2."""

    exit_code = 2


class Problems(MlinfraError):
    """All problems of all files at once; nothing was changed. Exit code 2: wrong use."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(sorted(set(problems)))
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''}; nothing was changed"
        super().__init__("\n".join([head, *(str(problem) for problem in self.problems)]))


class Refused(MlinfraError):
    """Refused by a plan, a policy or an adapter. Exit code 3."""

    exit_code = 3


class Waiting(MlinfraError):
    """Not done yet, and nothing is wrong. Exit code 4."""

    exit_code = 4


NO_ROOM = "make room on the disk, then run this again: it goes on from there"
_SIGNS_OF_NO_ROOM = ("no space left on device", "database or disk is full", "disk quota exceeded")


def tells_no_room(text: str) -> bool:
    """Whether a message, of whatever program, says that the disk is full."""
    return any(sign in text.lower() for sign in _SIGNS_OF_NO_ROOM)


def nearest(found: str, known: Iterable[str]) -> str:
    """Return the known name most like `found`, or an empty string when none is near."""
    matches = difflib.get_close_matches(found, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else ""

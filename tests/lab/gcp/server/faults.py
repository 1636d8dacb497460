"""What the emulated Google Cloud can be told to do wrong, and how often."""

from __future__ import annotations

import threading
from collections import Counter

NAMES = ("no-capacity", "quota", "throttle", "lost-before", "lost-after")
"""Of a deployment: no machines are there, the project may have no more. Of any request to Vertex AI: throttled; of one
that changes something: the connection lost before or after the work was done."""


class Faults:
    """Counters that requests use up; `operation` narrows a fault to one method of the API."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: Counter[tuple[str, str]] = Counter()

    def put(self, name: str, times: int = 1, operation: str = "") -> None:
        """Let a fault happen so many times. Raises ValueError for an unknown one."""
        if name not in NAMES:
            raise ValueError(f"{name!r} is not one of {', '.join(NAMES)}")
        with self._lock:
            self._left[(name, operation)] = times

    def take(self, name: str, operation: str = "") -> bool:
        """Say whether a fault is due, and count it."""
        with self._lock:
            for key in {(name, operation), (name, "")}:
                if self._left[key] > 0:
                    self._left[key] -= 1
                    return True
        return False

    def clear(self) -> None:
        with self._lock:
            self._left.clear()

"""Long-running operations, and the clock: what takes minutes at Google takes a part of a second here.

https://google.aip.dev/151: an operation has `done`, and then `error` or `response`.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.lab.gcp.server.answers import Failed

TYPES = "type.googleapis.com/google.cloud.aiplatform.v1"
_AGAIN_SECONDS = 0.05


@dataclass
class Clock:
    """How long a change takes."""

    seconds: float = 0.3


@dataclass
class Operation:
    """One operation; `result` is its response, with the type in it."""

    name: str
    kind: str
    done: bool = False
    result: dict[str, Any] | None = None
    error: Failed | None = None

    def shown(self) -> dict[str, Any]:
        told: dict[str, Any] = {"name": self.name, "metadata": {"@type": f"{TYPES}.{self.kind}OperationMetadata"}}
        if self.done:
            told["done"] = True
            told |= {"error": self.error.rpc()} if self.error else {"response": self.result or {}}
        return told


@dataclass
class Operations:
    """All of them, each worked on by a thread of its own."""

    clock: Clock
    lock: threading.RLock
    kept: dict[str, Operation] = field(default_factory=dict)
    ids: Any = field(default_factory=lambda: itertools.count(1))

    def begin(
        self,
        kind: str,
        parent: str,
        finish: Callable[[], dict[str, Any]],
        ready: Callable[[], bool] = lambda: True,
        abandon: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Start an operation, and return it.

        `finish` does the change when its time has come and `ready` says so. Either may raise Failed, which is then the
        operation's error; `abandon` ends what was begun.
        """
        operation = Operation(f"{parent}/operations/{next(self.ids)}", kind)
        self.kept[operation.name] = operation

        def work() -> None:
            try:
                time.sleep(self.clock.seconds)
                while not ready():
                    time.sleep(_AGAIN_SECONDS)
                with self.lock:
                    operation.result = finish()
                    operation.done = True
            except Failed as error:
                abandon()
                operation.error, operation.done = error, True

        threading.Thread(target=work, daemon=True).start()
        return operation.shown()

    def get(self, name: str) -> dict[str, Any]:
        """Return an operation. Raises Failed."""
        if name not in self.kept:
            raise Failed("NOT_FOUND", f"Operation not found: {name}")
        return self.kept[name].shown()

"""What `up`, `train` and `down` show while they work: each phase, what is being done in it, and how long it takes."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self

from mlinfra.engine_events import Step
from mlinfra_cli import render

_DOING = {
    "create": "creating",
    "update": "updating",
    "replace": "replacing",
    "create-replacement": "creating",
    "delete": "removing",
    "delete-replaced": "removing",
    "read": "reading",
    "refresh": "asking about",
    "import": "importing",
}
_DONE = {
    "create": ("created", "new"),
    "update": ("updated", "changed"),
    "replace": ("replaced", "changed"),
    "create-replacement": ("created", "new"),
    "delete": ("removed", "gone"),
    "delete-replaced": ("removed", "gone"),
    "import": ("imported", "new"),
}
_NOT_SHOWN = ("pulumi:", "mlinfra:part:")


@dataclass(frozen=True)
class _Work:
    operation: str
    what: str
    since: float


class LiveProgress:
    """Shows phases, steps and notes on stderr; a context manager, so that the terminal is left as it was.

    `touched` and `same` hold the URNs of the resources that were changed and that were not."""

    def __init__(self) -> None:
        self.touched: set[str] = set()
        self.same: set[str] = set()
        self._moving = render.Moving(self._now)
        self._title = ""
        self._since = 0.0
        self._works: dict[str, _Work] = {}
        self._interrupted = False
        self._handler = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Self:
        self._handler = signal.signal(signal.SIGINT, self._interrupt)
        self._moving.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._moving.stop()
        self._end("done in" if kind is None else "stopped after")
        signal.signal(signal.SIGINT, self._handler)

    def phase(self, title: str) -> None:
        """End the phase before and begin this one."""
        self._end("done in")
        self._title, self._since = title, time.monotonic()
        if self._moving.plain:
            self._moving.above(title)

    def step(self, step: Step) -> None:
        """Remember what the engine works on; show what it has changed."""
        if step.planned or step.type.startswith(_NOT_SHOWN):
            return
        work = self._works.pop(step.urn, None)
        what = f"{step.type.rsplit(':', 1)[-1]} {step.name}"
        if not step.done:
            self._works[step.urn] = _Work(step.operation, what, time.monotonic())
            return
        word, style = ("failed", "danger") if step.failed else _DONE.get(step.operation, ("", ""))
        if not word:
            self.same.add(step.urn)
            return
        self.touched.add(step.urn)
        took = f"  {render.seconds(time.monotonic() - work.since)}" if work else ""
        self._moving.above((f"{word:8}", style), f" {what}", (took, "quiet"), indent=2)

    def note(self, text: str) -> None:
        """Show a line."""
        for line in text.splitlines():
            self._moving.above(line, indent=2)

    def _end(self, how: str) -> None:
        if not self._title:
            return
        took = render.seconds(time.monotonic() - self._since)
        if self._moving.plain:
            self._moving.above(f"{how} {took}", indent=2)
        else:
            self._moving.above(self._title, (f"  {how} {took}", "quiet"))
        self._title = ""
        self._works.clear()

    def _now(self) -> str:
        if not self._title:
            return "starting"
        now = time.monotonic()
        line = f"{self._title} {render.seconds(now - self._since)}"
        # the engine's events come from another thread than the one that draws
        works = [work for work in list(self._works.values()) if work.operation in _DOING]
        if works:
            oldest = works[0]
            line += f": {_DOING[oldest.operation]} {oldest.what} {render.seconds(now - oldest.since)}"
            line += f" and {len(works) - 1} more" if len(works) > 1 else ""
        return line

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self._interrupted:
            self._interrupted = True
            told = "what has begun is brought to an end first; once more ends it at once"
            with contextlib.suppress(RuntimeError):  # the signal came while this very stream was written
                self._moving.above(("interrupting: ", "attention"), told)
        raise KeyboardInterrupt

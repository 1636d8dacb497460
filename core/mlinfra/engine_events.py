"""What the engine reports while it works: one JSON event a line, read as they come."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Step:
    """One thing that the engine does: `operation` is create, update, replace, delete, read, refresh or same.

    `planned`: it is only being previewed."""

    operation: str
    type: str
    name: str
    urn: str
    done: bool
    failed: bool = False
    planned: bool = False


@dataclass
class Outcome:
    """What an operation of the engine did: number of resources by operation, seconds, and what went wrong.

    `broken_rules` are the mandatory ones that stopped it, each with what was found and what mends it;
    `applied` is whether anything was changed before an end.
    """

    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    broken_rules: list[str] = field(default_factory=list)
    applied: bool = False

    @property
    def changed(self) -> int:
        """How many resources were touched."""
        return sum(count for operation, count in self.counts.items() if operation not in ("same", "read"))

    def and_then(self, after: Outcome) -> Outcome:
        """Return what this operation and the one after it did together."""
        return Outcome(
            counts=dict(Counter(self.counts) + Counter(after.counts)),
            seconds=self.seconds + after.seconds,
            errors=self.errors + after.errors,
            warnings=self.warnings + after.warnings,
            broken_rules=self.broken_rules + after.broken_rules,
            applied=self.applied or after.applied,
        )


Watch = Callable[[Step], None]

PLUGIN_ENDED = "the plugin that makes it was killed by somebody, or because memory ran out"
_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_SAYS_NOTHING = ("update failed", "refresh failed", "destroy failed", "preview failed", "context canceled")
"""Ends of messages that say no more than that something failed: the last one, of what else was under way then."""


def read_events(log: Path, process: subprocess.Popen[Any], outcome: Outcome, watch: Watch) -> None:
    with log.open("rb") as file:
        for event in _events(file, process):
            _take(event, outcome, watch)


def _events(file: IO[bytes], process: subprocess.Popen[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield events until the process has ended. Between preview and apply the engine writes the file anew."""
    part = b""
    begun_again = False
    while True:
        ended = process.poll() is not None
        piece = file.readline()
        if piece.endswith(b"\n"):
            event = _parsed(part + piece)
            part = b""
            if event is not None:
                yield event
            elif not begun_again:
                # it has grown past where we were before we looked: this was the middle of a line
                begun_again = True
                file.seek(0)
        elif piece:
            part += piece
        elif file.tell() > os.fstat(file.fileno()).st_size:
            part = b""
            file.seek(0)
        elif ended:
            return
        else:
            time.sleep(0.02)


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _take(event: Mapping[str, Any], outcome: Outcome, watch: Watch) -> None:
    if prelude := event.get("resourcePreEvent"):
        _tell(prelude, watch, done=False)
    elif done := event.get("resOutputsEvent"):
        outcome.applied |= not done.get("planning") and done["metadata"]["op"] != "same"
        _tell(done, watch, done=True)
    elif failed := event.get("resOpFailedEvent"):
        _tell(failed, watch, done=True, failed=True)
    elif summary := event.get("summaryEvent"):
        outcome.counts = dict(summary.get("resourceChanges") or {})
    elif diagnostic := event.get("diagnosticEvent"):
        message = str(diagnostic.get("message", "")).strip()
        if diagnostic.get("severity") == "error" and message and not message.endswith(_SAYS_NOTHING):
            outcome.errors.append(_readable(message, str(diagnostic.get("urn", ""))))
        elif diagnostic.get("severity") == "warning" and message and "from $PATH at" not in message:
            outcome.warnings.append(message)
    elif (violation := event.get("policyEvent")) and violation.get("enforcementLevel") == "mandatory":
        found, _, remedy = str(violation.get("message", "")).strip().partition("\n")
        outcome.broken_rules.append(
            f"{violation.get('policyName')} {_name(str(violation.get('resourceUrn', '')))}: {found} → {remedy}"
        )


def _tell(event: Mapping[str, Any], watch: Watch, *, done: bool, failed: bool = False) -> None:
    metadata = event["metadata"]
    urn = str(metadata["urn"])
    watch(Step(str(metadata["op"]), str(metadata["type"]), _name(urn), urn, done, failed, bool(event.get("planning"))))


def _name(urn: str) -> str:
    return urn.rsplit("::", 1)[-1]


def _readable(message: str, urn: str) -> str:
    """Return an error of the engine without the words that it puts around every message of a plugin."""
    text = message.removeprefix("error: ")
    for prefix in ("rpc error: code = Unknown desc = ", *([f"{urn}: "] if urn else []), "sdk-v2/provider2.go:"):
        text = text.replace(prefix, "")
    if _TRACEBACK in text:
        return _raised(text)
    if "exited prematurely" in text:
        text = PLUGIN_ENDED
    lines = [line.strip(" *\t") for line in text.splitlines() if line.strip(" *\t")]
    lines = [line for line in lines if not line.endswith("error occurred:")]
    name = urn.rsplit("::", 1)[1] if "::" in urn else ""
    kind = urn.split("::")[2].rsplit(":", 1)[-1] if "::" in urn else ""
    head = f"{kind} {name}: " if name and kind != "Stack" else ""
    return head + "\n".join(lines)


def _raised(text: str) -> str:
    """Return what a person's own part of the program raised, and in which of its lines, of a whole traceback."""
    frames = _FRAME.findall(text)
    file, line = next(
        (frame for frame in reversed(frames) if "/stacks/" in frame[0]), frames[-1] if frames else ("", "")
    )
    said = [each.strip() for each in text.splitlines() if each.strip()][-1]
    return f"{file}:{line}: {said}" if file else said

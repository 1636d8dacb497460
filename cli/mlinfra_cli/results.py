"""Results: what goes to stdout, alone. Apart from `render`, so that what is written for programs is quick."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, TextIO

_stdout: ContextVar[TextIO | None] = ContextVar("stdout", default=None)


@contextlib.contextmanager
def results_apart() -> Iterator[None]:
    """Keep stdout for results: what other code prints meanwhile goes to stderr."""
    token = _stdout.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _stdout.reset(token)


def stdout() -> TextIO:
    """Return the stream of results."""
    return _stdout.get() or sys.stdout


def write_json(document: Any) -> None:
    """Write a document to stdout, alone."""
    write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_text(text: str) -> None:
    """Write text to stdout as it is."""
    stream = stdout()
    stream.write(text)
    stream.flush()

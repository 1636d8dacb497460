"""Files that people give to a command, of any encoding of their shell; `-` is stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from mlinfra.problems import WrongUse

STDIN = "-"


def name_of(path: Path | str) -> str:
    """Return how a file is called in messages."""
    return "stdin" if str(path) == STDIN else str(path) or "''"


def read_given(path: Path | str, remedy: str) -> bytes:
    """Return what a file holds.

    Raises:
        WrongUse: it cannot be read, or is empty; with `remedy`.
    """
    name = name_of(path)
    try:
        content = _stdin() if str(path) == STDIN else Path(path).read_bytes()
        problem = "" if content.strip() else "is empty"
    except FileNotFoundError:
        problem = "is not there"
    except IsADirectoryError:
        problem = "is a folder"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if problem:
        raise WrongUse(f"{name}: {problem}", remedy=remedy)
    return content


def _stdin() -> bytes:
    if sys.stdin.isatty():
        raise ValueError("it is a terminal")
    return sys.stdin.buffer.read()

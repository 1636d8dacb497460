"""What a person sees when a command ends badly: one message, the way out, an exit code; never a traceback."""

from __future__ import annotations

import errno
import functools
import os
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, ParamSpec

import typer

from mlinfra_cli.results import results_apart

P = ParamSpec("P")

_OF_THE_MACHINE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: the quota of this user is used up",
    errno.EACCES: "check who owns it",
    errno.EPERM: "check who owns it",
    errno.EROFS: "it is read-only: work in another folder",
}
"""What is nobody's defect, and what helps."""

INTERRUPTED = 130
GOES_ON = ("bootstrap", "up", "tick", "train", "down", "promote", "rollback")
"""Commands that change something, and that go on where they were interrupted."""


def guarded(name: str, command: Callable[P, None]) -> Callable[P, None]:
    """Return the command with every exception turned into a message and an exit code.

    What the user's own files print goes to stderr: stdout belongs to results.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        line = " ".join(str(piece) for piece in ("mlinfra", name, kwargs.get("environment")) if piece)
        try:
            with results_apart():
                command(*args, **kwargs)
        except (typer.Exit, BrokenPipeError):
            raise
        except (KeyboardInterrupt, typer.Abort):
            _interrupted(name, line)
        except Exception as error:  # noqa: BLE001  whatever it is, a person must be able to read it
            _failed(error, name, line)

    return run


def _failed(error: Exception, name: str, line: str) -> NoReturn:
    from mlinfra.problems import MlinfraError
    from mlinfra_cli import render

    if os.environ.get("MLINFRA_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        render.error(f"{error.strerror}: {error.filename or line}", _OF_THE_MACHINE[error.errno])
        raise typer.Exit(1)
    if not isinstance(error, MlinfraError):
        render.defect(type(error).__name__, str(error), _kept(error, line))
        raise typer.Exit(1)
    if error.exit_code == INTERRUPTED:
        _interrupted(name, line)
    render.error(error.message, error.remedy)
    raise typer.Exit(error.exit_code)


def _interrupted(name: str, line: str) -> NoReturn:
    from mlinfra_cli import render

    render.interrupted(line if name in GOES_ON else "")
    raise typer.Exit(INTERRUPTED)


def _kept(error: Exception, line: str) -> Path:
    """Write the traceback to a file and return where it is."""
    now = datetime.now(UTC)
    text = f"{now.isoformat()} {line}\n{''.join(traceback.format_exception(error))}"
    name = f"defect-{now:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    for folder in (_logs(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)


def _logs() -> Path:
    from mlinfra.problems import MlinfraError
    from mlinfra.repository import Repository

    try:
        return Repository.find().data / "logs"
    except MlinfraError:
        return Path(tempfile.gettempdir())

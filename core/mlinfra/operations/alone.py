"""One run at a time changes an environment from this machine.

The engine's own lock covers its part of a run only: what comes before and after it (processes that are ended, traffic
that is moved) would meet another run in the middle of its part.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from mlinfra.problems import MlinfraError
from mlinfra.repository import Repository

_TICK = "mlinfra tick"
_TICK_SECONDS = 60.0
"""What a tick records takes seconds, and nobody started it by hand: it is worth waiting for."""
_ASKING_SECONDS = 0.1


class Busy(MlinfraError):
    """Another run changes the environment."""


@contextmanager
def alone(repository: Repository, name: str, command: str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of the environment `name` while `command` changes it. A killed holder gives it back.

    A tick that holds it is waited for for a minute, unless `command` is one; `say` is told.

    Raises:
        Busy: another run holds it; the message says which.
        MlinfraError: the lock cannot be written.
    """
    path = repository.data / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise MlinfraError(
            f"{path} cannot be written: {error.strerror}", remedy="make the folder writable, and room on its disk"
        ) from error
    with os.fdopen(descriptor, "r+") as file:
        deadline = time.monotonic() + (0 if command.startswith(_TICK) else _TICK_SECONDS)
        while (holder := _holder(file)) is not None:
            if not holder.startswith(_TICK) or time.monotonic() >= deadline:
                raise Busy(
                    f"another run holds the lock of {name}: {holder or 'it does not say which'}",
                    remedy="wait for it to end, or end it; then run this again",
                )
            if say is not None:
                say(f"waiting for {holder}")
                say = None
            time.sleep(_ASKING_SECONDS)
        file.seek(0)
        file.truncate()
        file.write(f"{command} (pid {os.getpid()})")
        file.flush()
        yield


def _holder(file: TextIO) -> str | None:
    """Take the lock; return who holds it instead, or None."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        return file.read().strip()
    return None

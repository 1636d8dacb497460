"""One run at a time changes an environment from this machine.

The engine's own lock covers its part of a run only: what comes before and after it (processes that are ended, traffic
that is moved) would meet another run in the middle of its part.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mlinfra.problems import MlinfraError
from mlinfra.repository import Repository


class Busy(MlinfraError):
    """Another run changes the environment."""


@contextmanager
def alone(repository: Repository, name: str, command: str) -> Iterator[None]:
    """Hold the lock of the environment `name` while `command` changes it. A killed holder gives it back.

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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "it does not say which"
            raise Busy(
                f"another run holds the lock of {name}: {holder}",
                remedy="wait for it to end, or end it; then run this again",
            ) from None
        file.truncate(0)
        file.write(f"{command} (pid {os.getpid()})")
        file.flush()
        yield

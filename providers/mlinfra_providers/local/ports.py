"""Ports: chosen once for each name, kept in `ports.json`, never given twice on this machine.

They come from a range below the ephemeral ports of Linux (32768 and up) and macOS (49152 and up), so that no outgoing
connection takes one by accident.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_state_path

from mlinfra.files import Damaged, read_json, read_kept, write_json
from mlinfra.problems import MlinfraError
from mlinfra_providers.local import processes
from mlinfra_providers.local.layout import Layout, segments

HOST = "127.0.0.1"
RANGE = range(21_000, 25_000)
_LOCK_SECONDS = 30


@dataclass(frozen=True)
class Ports:
    """The ports of one environment.

    This user's environments, in every repository, know of each other through a list of their `ports.json` files in
    the user's state folder. The files themselves stay the only record: a repository that is gone claims nothing.
    """

    layout: Layout

    def get(self, name: str) -> int:
        """Return the port of `name` (`endpoint/flight-delay`), choosing a free one the first time.

        Raises:
            MlinfraError: something that is not of this environment listens on the kept port; the message says which
                process. Or no port of the range is free.
        """
        segments(name)
        with self._machine() as others:
            kept = self.kept()
            port: int | None = kept.get(name)
            if port is None:
                port = self._choose(set(kept.values()).union(*others))
                write_json(self.layout.ports, {**kept, name: port}, durable=True)
                return port
        self._require_own(name, port)
        return port

    def kept(self) -> dict[str, int]:
        """Return every port that was chosen for this environment, by name, without looking who listens.

        Raises:
            Damaged: they cannot be read.
        """
        try:
            return dict(read_json(self.layout.ports) or {})
        except Damaged as damaged:
            name, file = self.layout.environment, os.path.relpath(self.layout.ports, self.layout.repository)
            damaged.remedy = (
                "bring it back from a copy; or have other ports chosen: "
                f"mlinfra down {name}, remove {file}, mlinfra up {name}"
            )
            raise

    def release(self, name: str) -> None:
        """Give the port of `name` back, if it has one."""
        with self._machine():
            try:
                kept = self.kept()
            except Damaged:
                return  # what cannot be read gives nothing away, and must not keep an environment from going down
            if kept.pop(name, None) is not None:
                write_json(self.layout.ports, kept, durable=True)

    def _choose(self, taken: set[int]) -> int:
        # from a place of its own, so that two that choose at the same moment rarely meet
        start = int(self.layout.identity, 16) % len(RANGE)
        for offset in range(len(RANGE)):
            port = RANGE[(start + offset) % len(RANGE)]
            if port not in taken and is_free(port):
                return port
        raise MlinfraError(
            f"no port from {RANGE.start} to {RANGE.stop - 1} is free on {HOST}",
            remedy="take down environments that are no longer used: mlinfra down <environment>",
        )

    def _require_own(self, name: str, port: int) -> None:
        if is_free(port):
            return
        holder = processes.listener(port)
        # It may have ended between the two looks.
        if is_free(port) or (holder is not None and processes.belongs(holder, self.layout)):
            return
        file = os.path.relpath(self.layout.ports, self.layout.repository)
        another = f"or let another port be chosen: mlinfra down {self.layout.environment}, remove {name!r} from {file}"
        if holder is None:
            who, free = "a process of another user", f"find it (sudo lsof -nP -iTCP:{port} -sTCP:LISTEN) and stop it"
        else:
            who, free = processes.describe(holder), f"stop it (kill {holder.pid})"
        raise MlinfraError(
            f"port {port} of {name} in {self.layout.environment} is held by {who}, which mlinfra did not start",
            remedy=f"{free}, {another}",
        )

    @contextmanager
    def _machine(self) -> Iterator[list[set[int]]]:
        """Hold the lock of all this user's environments; yield the ports that each other one has chosen."""
        try:
            state = user_state_path("mlinfra", appauthor=False, ensure_exists=True)
            with FileLock(state / "ports.lock", timeout=_LOCK_SECONDS):
                register = state / "environments.json"
                own = str(self.layout.ports)
                known: list[str] = read_kept(register) or []
                others = {path: set(ports.values()) for path in known if (ports := read_kept(Path(path)))}
                current = sorted({*others, own})
                if current != known:
                    write_json(register, current)
                yield [ports for path, ports in others.items() if path != own]
        except Timeout as error:
            raise MlinfraError(
                f"another process has held {error.lock_file} for {_LOCK_SECONDS} s",
                remedy="see which one (lsof or fuser on that file), end it, and run this again",
            ) from error


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier listener that are still being closed are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True

"""Which processes belong to an environment, who holds a port, and how to end processes for certain.

supervisord gives each of its children the URL of its own socket as SUPERVISOR_SERVER_URL, and they hand it on to
theirs. That is a mark which survives the death of supervisord, unlike a parent, and cannot be stale, unlike a pid file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import psutil

from mlinfra_providers.local.layout import Layout

_POLL_SECONDS = 0.02
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, OSError)


def supervisor_url(layout: Layout) -> str:
    """Return the mark that every process of the environment carries in SUPERVISOR_SERVER_URL."""
    return f"unix://{layout.supervisor_socket}"


def belongs(process: psutil.Process, layout: Layout) -> bool:
    """Whether `process` is this environment's supervisord, one of its programs, or a descendant of one."""
    try:
        if process.environ().get("SUPERVISOR_SERVER_URL") == supervisor_url(layout):
            return True
        return is_supervisor(process, layout)
    except _GONE:
        return False


def is_supervisor(process: psutil.Process, layout: Layout) -> bool:
    """Whether `process` is this environment's supervisord, by its command line."""
    try:
        command = process.cmdline()
    except _GONE:
        return False
    return "supervisor.supervisord" in command and str(layout.supervisor_configuration) in command


def of_environment(layout: Layout) -> list[psutil.Process]:
    """Return all living processes of the environment, without the calling process and its ancestors."""
    current = psutil.Process()
    own = {current.pid, *(parent.pid for parent in current.parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in own and belongs(process, layout) and alive(process)
    ]


def end(processes: Iterable[psutil.Process], *, seconds: float) -> None:
    """Ask `processes` to end, wait up to `seconds`, and kill those that are still there."""
    left = list(processes)
    for kill, patience in ((False, seconds), (True, 5.0)):
        for process in left:
            _send(process, kill=kill)
        deadline = time.monotonic() + patience
        while (left := [process for process in left if alive(process)]) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def alive(process: psutil.Process) -> bool:
    """Whether `process` still runs: one that ended, and whose parent has not looked yet, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except _GONE:
        return False


def listener(port: int) -> psutil.Process | None:
    """Return the process that listens on a TCP port of this machine, or None where that cannot be seen.

    Other users' processes, and on macOS all others, are visible to the administrator alone.
    """
    try:
        connections: list[Any] = psutil.net_connections(kind="tcp")
    except (psutil.AccessDenied, OSError):
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            try:
                return psutil.Process(connection.pid)
            except psutil.NoSuchProcess:
                return None
    return None


def describe(process: psutil.Process) -> str:
    """Return `pid 4711 (python -m http.server 8000)`, the command line cut at 160 characters."""
    try:
        command = " ".join(process.cmdline()) or process.name()
    except _GONE:
        return f"pid {process.pid}"
    return f"pid {process.pid} ({command if len(command) <= 160 else command[:159] + '…'})"


def _send(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except _GONE:
        return

"""The supervisor: one supervisord for each environment, which keeps every process of it running.

It outlives the terminal and the engine (a daemon with a session of its own) and comes back after kill -9
(guardian.py); after a reboot `ensure()` brings it and all its programs back from their ini files.
"""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from filelock import FileLock, Timeout

from mlinfra.files import last_lines, write_atomically
from mlinfra.problems import MlinfraError
from mlinfra_providers.local import processes
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.programs import (
    GUARDIAN,
    ProcessState,
    Program,
    key,
    minimal_environment,
    name_of,
    render,
    render_guardian,
    render_supervisor,
)
from mlinfra_providers.local.unix_http import UnixTransport

_LOCK_SECONDS = 60
_START_SECONDS = 30
_STOP_SECONDS = 30
_POLL_SECONDS = 0.03
_SHOWN_LINES = 15
# Fault codes of supervisor/xmlrpc.py.
_BAD_NAME, _ALREADY_STARTED, _NOT_RUNNING, _ALREADY_ADDED = 10, 60, 70, 90


class SupervisorProblem(MlinfraError):
    """supervisord does not answer (`code` 0), or refuses a call (its fault code)."""

    def __init__(self, message: str, *, code: int, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.code = code


@dataclass(frozen=True)
class Supervisor:
    """The supervisor of one environment. Any process may use it, several at once."""

    layout: Layout

    def ensure(self) -> None:
        """Start the supervisor unless it runs. Programs that were set before start with it.

        Raises:
            MlinfraError: it cannot be started.
        """
        if self.layout.supervisor_wanted.exists() and self.running():
            return
        with self._lock():
            write_atomically(self.layout.supervisor_wanted, b"", durable=True)
            self._start()

    def revive(self) -> None:
        """Start the supervisor again after it died; do nothing when it was stopped on purpose."""
        with self._lock():
            if self.layout.supervisor_wanted.exists():
                self._start()

    def running(self) -> bool:
        """Whether the supervisor answers and is not shutting down."""
        try:
            return bool(self._call("getState")["statecode"] == 1)
        except SupervisorProblem:
            return False

    def set_program(self, program: Program) -> bool:
        """Make `program` what runs under its name, and start it; return whether that changed its definition.

        A running process is left alone when the definition is the same, and is stopped and started otherwise.

        Raises:
            MlinfraError: its command is not there, or supervisord does not answer.
            ValueError: the program holds a value that supervisord's configuration cannot express.
        """
        text = render(program)
        name, file = key(program.name), self._file(program.name)
        for log in filter(None, (program.log, program.errors)):
            log.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text() != text:
            write_atomically(file, text.encode(), durable=True)
        # supervisord says what is new to it, and not the file: an earlier run may have been killed in between.
        [[added, changed, _]] = self._call("reloadConfig")
        if name in changed:
            self._stop_process(program.name)
            with _ignored(_BAD_NAME):
                self._call("removeProcessGroup", name)
        if name in changed or name in added:
            with _ignored(_ALREADY_ADDED):
                self._call("addProcessGroup", name)
        if program.autostart:
            self.start(program.name)
        return name in changed or name in added

    def remove_program(self, name: str) -> None:
        """Stop a program and forget it; fine when it is not there. Its log stays."""
        # First, so that a kill between here and the end leaves nothing that would be started again.
        self._file(name).unlink(missing_ok=True)
        if name not in self.status():
            return
        self._stop_process(name)
        with _ignored(_BAD_NAME):
            self._call("removeProcessGroup", key(name))

    def start(self, name: str) -> None:
        """Start a program unless it runs.

        Raises:
            MlinfraError: there is no such program, or it cannot be started.
        """
        try:
            with _ignored(_ALREADY_STARTED):
                self._call("startProcess", key(name), False)
        except SupervisorProblem as problem:
            state = self.status().get(name)
            if state is None:
                raise
            raise MlinfraError(_story(state), remedy=f"the whole log: {state.log}") from problem

    def restart(self, name: str) -> None:
        """Stop a program and start it.

        Raises:
            MlinfraError: there is no such program, or it cannot be started.
        """
        self._stop_process(name)
        self.start(name)

    def status(self) -> dict[str, ProcessState]:
        """Return the state of every program, by name; empty when the supervisor does not run."""
        try:
            found: list[dict[str, Any]] = self._call("getAllProcessInfo")
        except SupervisorProblem as problem:
            if isinstance(problem.__cause__, (FileNotFoundError, ConnectionRefusedError)):
                return {}
            raise
        return {
            name_of(each["group"]): ProcessState(
                name=name_of(each["group"]),
                state=each["statename"],
                pid=each["pid"] or None,
                seconds=max(0.0, each["now"] - each["start"]) if each["pid"] else 0.0,
                exit_status=each["exitstatus"] if each["statename"] == "EXITED" else None,
                problem=each["spawnerr"],
                log=Path(each["stderr_logfile"] or each["stdout_logfile"]),
            )
            for each in found
            if each["group"] != GUARDIAN
        }

    def failures(self) -> dict[str, str]:
        """Return, for each program that ended by itself, what happened and the last lines of its log."""
        return {name: _story(state) for name, state in self.status().items() if state.failed}

    def wait_ready(self, url: str, timeout: float, process: str) -> None:
        """Wait until `url` answers 200; see `wait_until`."""
        self.wait_until(lambda: answers(url), timeout, process, what=url)

    def wait_until(self, ready: Callable[[], bool], timeout: float, process: str, *, what: str) -> None:
        """Wait until `ready()`, for at most `timeout` seconds, as long as the program `process` lives.

        Raises:
            MlinfraError: the program ended, is not there, or took longer; with the last lines of its log.
        """
        deadline = time.monotonic() + timeout
        first, pause = None, 0.004
        while True:
            state = self.status().get(process)
            if state is None and self.running():
                raise MlinfraError(f"{process} is not known to the supervisor of {self.layout.environment}")
            if state is not None:
                first = first or state.pid
                if state.failed or state.state == "STOPPED" or (state.pid and state.pid != first):
                    raise MlinfraError(_story(state), remedy=f"the whole log: {state.log}")
            if ready():
                return
            if time.monotonic() > deadline:
                log = self.layout.supervisor_log if state is None else state.log
                raise MlinfraError(
                    f"{process}: {what} was not ready within {timeout:g} s{_tail(log)}",
                    remedy=f"the whole log: {log}",
                )
            time.sleep(pause)
            pause = min(1.5 * pause, 0.1)

    def stop(self) -> None:
        """End every process of the environment, supervisord and guardian included, and remove the sockets.

        The programs stay defined: `ensure()` starts them again.
        """
        with self._lock():
            # First: a guardian that is about to start supervisord again waits for this lock, then looks for the file.
            self.layout.supervisor_wanted.unlink(missing_ok=True)
            with contextlib.suppress(SupervisorProblem):
                self._shut_down()
            self._end_rest()
            self.layout.supervisor_pid.unlink(missing_ok=True)
            if self.layout.sockets.is_dir():
                for socket in self.layout.sockets.iterdir():
                    socket.unlink()
                self.layout.sockets.rmdir()

    def _start(self) -> None:
        """Start supervisord; the caller holds the lock."""
        if self.running():
            return
        # Of a supervisord that died or lost its socket: they hold the ports that the new ones need.
        self._end_rest()
        layout = self.layout
        configuration = render_supervisor(layout)
        layout.runtime.mkdir(parents=True, exist_ok=True)
        layout.supervisor_programs.mkdir(parents=True, exist_ok=True)
        layout.logs.mkdir(parents=True, exist_ok=True)
        layout.make_sockets()
        write_atomically(layout.supervisor_configuration, configuration.encode())
        write_atomically(self._file(GUARDIAN), render_guardian(layout).encode())
        command = [sys.executable, "-I", "-X", "utf8", "-m", "supervisor.supervisord"]
        # It reads its configuration, reports mistakes, then forks a daemon with a session of its own and ends.
        # In a session of its own until then, too: Ctrl-C in the terminal is not for it.
        with subprocess.Popen(
            [*command, "--configuration", str(layout.supervisor_configuration)],
            cwd=layout.repository,
            env=minimal_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as started:
            deadline = time.monotonic() + _START_SECONDS
            while started.poll() in (None, 0) and time.monotonic() < deadline:
                if self.running() and started.poll() == 0:
                    return
                time.sleep(_POLL_SECONDS)
            started.kill()
            said = started.communicate()[0].decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:]
        raise MlinfraError(
            "\n".join([f"supervisord of {layout.environment} did not start", *said]),
            remedy=f"its log: {layout.supervisor_log}",
        )

    def _shut_down(self) -> None:
        try:
            daemon = psutil.Process(self._call("getPID"))
        except psutil.NoSuchProcess:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in daemon.children():
                self._let_begin(child)
        # All at once; a shutdown alone would stop them one after the other.
        self._call("stopAllProcesses", False)
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline and any(each.pid for each in self.status().values()):
            time.sleep(_POLL_SECONDS)
        self._call("shutdown")
        while time.monotonic() < deadline and processes.alive(daemon):
            # A question wakes it; by itself it looks at what is left to do once a second.
            self.running()
            time.sleep(_POLL_SECONDS)

    def _end_rest(self) -> None:
        rest = processes.of_environment(self.layout)
        # supervisord before its children, which it would start again.
        supervisors = [each for each in rest if processes.is_supervisor(each, self.layout)]
        processes.end(supervisors, seconds=_STOP_SECONDS)
        processes.end([each for each in rest if each not in supervisors], seconds=_STOP_SECONDS)

    def _let_begin(self, child: psutil.Process) -> None:
        """Wait until a child of supervisord has become its program: before, it swallows the signal to stop."""
        deadline = time.monotonic() + _STOP_SECONDS
        while processes.is_supervisor(child, self.layout) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _stop_process(self, name: str) -> None:
        if (state := self.status().get(name)) and state.pid:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._let_begin(psutil.Process(state.pid))
        with _ignored(_NOT_RUNNING, _BAD_NAME):
            self._call("stopProcess", key(name), False)
        while (state := self.status().get(name)) and state.pid:
            time.sleep(_POLL_SECONDS)

    def _file(self, name: str) -> Path:
        return self.layout.supervisor_programs / f"{key(name)}.ini"

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = UnixTransport(self.layout.supervisor_socket, timeout=10)
        who = f"supervisord of {self.layout.environment}"
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            message = f"{who} refused {method}{arguments}: {fault.faultString}"
            raise SupervisorProblem(message, code=fault.faultCode) from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise SupervisorProblem(
                f"{who} does not answer: {error}", code=0, remedy=f"mlinfra up {self.layout.environment}"
            ) from error

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.layout.supervisor.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.layout.supervisor_lock, timeout=_LOCK_SECONDS):
                yield
        except Timeout as error:
            raise MlinfraError(
                f"another process has been starting or stopping {self.layout.environment} for {_LOCK_SECONDS} s",
                remedy=f"see which one (lsof or fuser on {error.lock_file}), end it, and run this again",
            ) from error


@contextlib.contextmanager
def _ignored(*codes: int) -> Iterator[None]:
    try:
        yield
    except SupervisorProblem as problem:
        if problem.code not in codes:
            raise


def answers(url: str) -> bool:
    """Whether an address of this machine answers 200."""
    # Not urllib: it would ask a proxy for an address of this machine when the environment names one.
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _story(state: ProcessState) -> str:
    ended = {
        "BACKOFF": "ended within a second of its start, and is tried again",
        "FATAL": "ended within a second of its start, four times, and is not tried again",
        "EXITED": f"ended with exit status {state.exit_status}, and is not tried again",
        "STOPPED": "is stopped",
    }.get(state.state, "ended and was started again")
    problem = f" ({state.problem})" if state.problem else ""
    return f"{state.name} {ended}{problem}{_tail(state.log)}"


def _tail(log: Path) -> str:
    lines = last_lines(log, _SHOWN_LINES)
    return "\n".join(["; its last lines:", *(f"  {line}" for line in lines)]) if lines else "; it logged nothing"

"""Programs of the local target, and how supervisord's configuration writes them down."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlinfra.problems import MlinfraError
from mlinfra_providers.local.layout import Layout, segments

NO_USE_IN_RETRYING = 78
"""The exit status (EX_CONFIG of sysexits.h) after which a program is not started again."""

GUARDIAN = "guardian"
_MEBIBYTE = 1 << 20
# What a process needs to find programs, its home, its language and its libraries. Nothing else of the caller's
# environment is handed on: it may hold tokens, and they would stay readable in every process started from it.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
# supervisord reads the files of programs by a glob pattern, and cuts values at a blank followed by # or ;.
_INEXPRESSIBLE = re.compile(r"[*?\[\n\r]|\s[#;]")


@dataclass(frozen=True)
class Program:
    """A process that is kept running.

    `name` has parts separated by "/" (`server/flight-delay/3f9c2ab1d04e`), without dots. `environment` is added to
    the few variables that every program gets. Standard output goes to `log`, and standard error too unless `errors`
    names a file of its own; each file is rotated once at `log_bytes`. `stop_seconds` is how long the process may take
    to end after `stop_signal`, before it is killed. Without `autostart` it runs only when told to.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    errors: Path | None = None
    log_bytes: int = 5 * _MEBIBYTE
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    autostart: bool = True

    def __post_init__(self) -> None:
        if "." in self.name or not self.command:
            raise ValueError(f"{self.name!r}: a program has a name without dots, and a command")
        segments(self.name)


@dataclass(frozen=True)
class ProcessState:
    """What supervisord knows of a program.

    `state` is one of STOPPED, STARTING, RUNNING, BACKOFF (ended within a second of its start, tried again), STOPPING,
    EXITED, FATAL (tried four times) and UNKNOWN. `pid` and `seconds` (since its start) are of a running process.
    `problem` is supervisord's own word on why it could not be started.
    """

    name: str
    state: str
    pid: int | None
    seconds: float
    exit_status: int | None
    problem: str
    log: Path

    @property
    def running(self) -> bool:
        return self.state in ("STARTING", "RUNNING")

    @property
    def failed(self) -> bool:
        """Whether it ended by itself and is not, or not certainly, coming back."""
        return self.state in ("BACKOFF", "EXITED", "FATAL", "UNKNOWN")


def key(name: str) -> str:
    """Return supervisord's name for a program, which may not hold "/"."""
    return name.replace("/", ".")


def name_of(key: str) -> str:
    """Return the name of a program from supervisord's name for it."""
    return key.replace(".", "/")


def minimal_environment() -> dict[str, str]:
    """Return the variables of the caller that every program gets."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def render_supervisor(layout: Layout) -> str:
    """Return supervisord's own configuration.

    Raises:
        MlinfraError: the path of the repository cannot be written in it.
    """
    if _INEXPRESSIBLE.search(str(layout.repository)):
        raise MlinfraError(
            f"{layout.repository}: supervisor cannot work in a path with *, ?, [, or a blank followed by # or ;",
            remedy="move the repository to a path without them",
        )
    return f"""\
[supervisord]
identifier=mlinfra-{layout.identity}
directory={_escaped(layout.repository)}
logfile={_escaped(layout.supervisor_log)}
logfile_maxbytes={_MEBIBYTE}
logfile_backups=1
pidfile={_escaped(layout.supervisor_pid)}
umask=077

[unix_http_server]
file={_escaped(layout.supervisor_socket)}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files={layout.supervisor_programs.name}/*.ini
"""


def render(program: Program) -> str:
    """Return the configuration of a program.

    It dies with supervisord on Linux; elsewhere it is ended by whoever starts supervisord again.

    Raises:
        ValueError: a value that supervisord's configuration cannot express.
    """
    return _section(program, (*_leash(), *program.command))


def render_guardian(layout: Layout) -> str:
    """Return the configuration of the process that starts supervisord again when it dies."""
    script = Path(__file__).with_name("guardian.py")
    # -I: the folder of the script, full of modules with common names, stays off the import path.
    command = (sys.executable, "-I", str(script), str(layout.repository), layout.environment)
    log = layout.log(GUARDIAN)
    return _section(Program(GUARDIAN, command, layout.repository, log, log_bytes=_MEBIBYTE), command)


def _section(program: Program, command: tuple[str, ...]) -> str:
    errors = f"stderr_logfile={_log(program.errors)}\n" if program.errors else "redirect_stderr=true\n"
    environment = ",".join(f"{name}={_quoted(value)}" for name, value in sorted(program.environment.items()))
    return f"""\
[program:{key(program.name)}]
command={" ".join(_argument(argument) for argument in command)}
directory={_escaped(program.directory)}
environment={environment}
autostart={str(program.autostart).lower()}
autorestart=unexpected
exitcodes={NO_USE_IN_RETRYING}
startsecs=1
startretries=3
stopsignal={program.stop_signal}
stopwaitsecs={program.stop_seconds}
killasgroup=true
stdout_logfile={_log(program.log)}
stdout_logfile_maxbytes={program.log_bytes}
stdout_logfile_backups=1
{errors}stderr_logfile_maxbytes={program.log_bytes}
stderr_logfile_backups=1
"""


def _leash() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()


def _argument(argument: str) -> str:
    # Backslashes rather than quotes: a quoted " #" would still be taken for a comment.
    if not argument:
        return "''"
    return _percent(re.sub(r"[^A-Za-z0-9_@%+=:,./-]", r"\\\g<0>", _one_line(argument)))


def _quoted(value: str) -> str:
    quoted = value[:1] in ("'", '"') or value[-1:] in ("'", '"') or {"'", '"'} <= {*value}
    if quoted or re.search(r"\s[#;]|%\(here\)s", value):
        raise ValueError(f"{value!r}: not a value of a variable that supervisor can express; write it to a file")
    quote = "'" if '"' in value else '"'
    return f"{quote}{_percent(_one_line(value))}{quote}"


def _log(path: Path) -> str:
    # The names of log files, and they alone, are expanded twice (supervisor/options.py).
    return _percent(_escaped(path))


def _escaped(path: Path) -> str:
    return _percent(_one_line(str(path)))


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text or "\0" in text:
        raise ValueError(f"{text!r}: more than one line")
    return text

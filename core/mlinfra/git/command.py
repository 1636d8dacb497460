"""One `git` command in a subprocess: it asks nobody, ends in time, and tells no credentials."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlinfra.problems import MlinfraError

LOCAL_SECONDS = 60.0
NETWORK_SECONDS = 120.0

# What a hook or a wrapper says of its own repository would lead git to another one than the folder that we name.
_OF_ANOTHER_REPOSITORY = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_QUARANTINE_PATH", "GIT_SHALLOW_FILE",
}  # fmt: skip
# Windows that ask, and traces that print headers.
_ASK_OR_TELL = {"SSH_ASKPASS", "GIT_CURL_VERBOSE"}

_NEVER_ASK = {
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}
# No window asks; an index is one file, and no daemon is started for it.
_SETTINGS = ("core.askPass=", "core.splitIndex=false", "core.fsmonitor=false")
_USERINFO = re.compile(r"(?<=://)[^/@\s'\"]*@")


class GitError(MlinfraError):
    """What git did not do, in its own words."""


@dataclass(frozen=True)
class Ran:
    """How a command ended. `errors` is without credentials."""

    code: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        """The output as text, without the last line's end."""
        return self.output.decode("utf-8", "replace").rstrip("\n")


def without_credentials(text: str) -> str:
    """Return the text with no user name and no password in any URL."""
    return _USERINFO.sub("", text)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OF_ANOTHER_REPOSITORY | _ASK_OR_TELL and not name.startswith("GIT_TRACE")
    }
    return {**kept, **_NEVER_ASK, **more}


def run(
    root: Path,
    *arguments: str,
    stdin: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = LOCAL_SECONDS,
) -> Ran:
    """Run `git` in `root` and return how it ended, whatever the code.

    Raises GitError where there is no git, where `root` is no folder, and when it does not end within `seconds`.
    """
    settings = [piece for setting in _SETTINGS for piece in ("-c", setting)]
    command = ["git", "-C", str(root), *settings, *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(environment or {}),
            start_new_session=True,  # ssh finds no terminal to ask at, and helpers end with git
        )
    except OSError as error:
        raise GitError(
            f"git does not start: {error}", remedy="install git 2.30 or newer, so that it is on PATH"
        ) from error
    try:
        output, errors = process.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise GitError(
            f"git {arguments[0]} did not end within {seconds:g} s",
            remedy="see whether the remote can be reached, then run this again: it goes on from what is there",
        ) from None
    finally:
        _end(process)
    return Ran(process.returncode, output, without_credentials(errors.decode("utf-8", "replace")).strip())


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and the helpers that it started, if it is still there."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def must(ran: Ran, what: str, *, remedy: str = "") -> Ran:
    """Return `ran` if it ended well; raise GitError with `what` failed and git's own reason otherwise."""
    if ran.code == 0:
        return ran
    raise GitError(f"{what}: {reason(ran)}", remedy=remedy)


def reason(ran: Ran) -> str:
    """Return what git gave as the reason: its error lines, or the last line, or the exit code."""
    lines = [line.strip() for line in ran.errors.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return "; ".join(telling[:4] or lines[-1:]) or f"exit code {ran.code}"

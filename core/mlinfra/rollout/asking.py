"""What gates ask besides samples: Prometheus, a command, and people. Nothing here raises: no answer is no data."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlinfra.files import last_lines

PROMETHEUS_URL = "PROMETHEUS_URL"
PROMETHEUS_SECONDS = 10.0
COMMAND_SECONDS = 120.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LONGEST = 200


@dataclass(frozen=True)
class Asked:
    """An answer: a number (None: no data), and what a person should read beside it."""

    value: float | None
    message: str = ""


@dataclass(frozen=True)
class Asking:
    """Asks for one endpoint of a repository. `approvals` has, by who had to approve, who did and when.

    Commands run in `folder`, with this process's variables and `variables`.
    """

    folder: Path
    approvals: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    prometheus_seconds: float = PROMETHEUS_SECONDS
    command_seconds: float = COMMAND_SECONDS

    def prometheus(self, query: str, address: str | None) -> Asked:
        """Ask an instant query (GET /api/v1/query) that gives one number; NaN, nothing and several are no data."""
        base = address or os.environ.get(PROMETHEUS_URL, "").strip()
        if not base:
            return Asked(None, f"no Prometheus is named: set {PROMETHEUS_URL}, or prometheus(…, url=…)")
        import httpx

        try:
            response = httpx.get(
                f"{base.rstrip('/')}/api/v1/query",
                params={"query": query},
                timeout=self.prometheus_seconds,
                trust_env=urlsplit(base).hostname not in _LOOPBACK,
            )
        except httpx.TimeoutException:
            return Asked(None, f"Prometheus did not answer within {self.prometheus_seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            # without the address: there may be a secret in it
            return Asked(None, f"Prometheus cannot be asked: {type(error).__name__}")
        try:
            return _number(response.json(), response.status_code)
        except ValueError:
            return Asked(None, f"Prometheus did not answer with JSON (status {response.status_code})")

    def command(self, line: str) -> Asked:
        """Run a command without a shell; the number is its exit code, the message the last line that it wrote."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            return Asked(None, f"the command cannot be read: {error}")
        if not words:
            return Asked(None, "the command is empty")
        with tempfile.TemporaryDirectory(prefix="mlinfra-gate-") as folder:
            # a file, not a pipe: what the command leaves running must not keep us waiting
            output = Path(folder) / "output"
            try:
                code = self._run(words, output)
            except (OSError, ValueError) as error:
                return Asked(None, f"the command could not be started: {getattr(error, 'strerror', None) or error}")
            said = _last(output)
        if code is None:
            return Asked(None, f"the command did not end within {self.command_seconds:g} s")
        if code < 0:
            return Asked(None, f"the command was ended by {_signal(-code)}")
        return Asked(float(code), said or ("" if code == 0 else f"exit code {code}"))

    def approval(self, who: str) -> Asked:
        """Return 1 where the approval is recorded; until then there is no data."""
        found = self.approvals.get(who)
        return Asked(None, f"{who} has not approved yet") if found is None else Asked(1.0, found)

    def _run(self, words: list[str], output: Path) -> int | None:
        """Return the exit code, negative for a signal, or None after the time is over."""
        with output.open("wb") as file:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env={**os.environ, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait(self.command_seconds)
            except subprocess.TimeoutExpired:
                return None
            finally:
                if process.returncode is None:
                    # its children too: it is the first of a session of its own
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def _number(document: Any, status: int) -> Asked:
    """Return the one number of Prometheus's answer (its HTTP API, version 1)."""
    try:
        if document["status"] != "success":
            return Asked(None, f"Prometheus refuses the query: {_cut(str(document.get('error', status)))}")
        kind, result = document["data"]["resultType"], document["data"]["result"]
        if kind == "vector":
            if len(result) != 1:
                return Asked(None, f"the query gives {len(result)} series, not one")
            value = float(result[0]["value"][1])
        elif kind == "scalar":
            value = float(result[1])
        else:
            return Asked(None, f"the query gives a {kind}, not one number")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return Asked(None, f"Prometheus answered something else than a result (status {status})")
    return Asked(value) if math.isfinite(value) else Asked(None, f"the query gives {value}")


def _last(output: Path) -> str:
    return next((_cut(line.strip()) for line in reversed(last_lines(output, 50)) if line.strip()), "")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

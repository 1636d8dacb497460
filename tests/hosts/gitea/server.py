"""A running Gitea in a folder of its own, with the users that the tests need."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.free_port import free_port

PASSWORD = "not-a-secret-1"
START_SECONDS = 60.0

_SETTINGS = """
APP_NAME = tests
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = {work}
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
STATIC_ROOT_PATH = {assets}
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {work}/gitea.db
[security]
INSTALL_LOCK = true
[service]
DISABLE_REGISTRATION = true
[log]
MODE = file
LEVEL = warn
[cron]
ENABLED = false
[actions]
ENABLED = false
[repository]
DEFAULT_BRANCH = main
"""


@dataclass(frozen=True)
class Server:
    """Where it is; `call` is the API as the tests themselves use it, with the password of a user."""

    url: str
    binary: Path
    settings: Path

    def call(self, user: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = httpx.request(method, f"{self.url}/api/v1/{path}", json=body, auth=(user, PASSWORD), timeout=30)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def add_user(self, name: str, *options: str) -> str:
        self._run("user", "create", "--username", name, "--password", PASSWORD, "--email", f"{name}@example.com",
                  "--must-change-password=false", *options)  # fmt: skip
        return name

    def token(self, user: str, *scopes: str) -> str:
        made = self.call(user, "POST", f"users/{user}/tokens", {"name": f"t{time.monotonic_ns()}", "scopes": scopes})
        return str(made["sha1"])

    def _run(self, *arguments: str) -> None:
        command = [str(self.binary), "--config", str(self.settings), "admin", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
        assert ran.returncode == 0, ran.stdout + ran.stderr


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("GITEA_", "GIT_", "FORGEJO_"))}


@contextmanager
def running(home: Path) -> Iterator[Server]:
    """Start the Gitea of `home` in a new folder; stop it and remove the folder at the end."""
    work = Path(tempfile.mkdtemp(prefix="mlinfra-gitea-"))
    port = free_port()
    settings = work / "app.ini"
    settings.write_text(_SETTINGS.format(work=work, port=port, assets=home))
    server = Server(f"http://127.0.0.1:{port}", home / "gitea", settings)
    with (work / "out").open("wb") as out:
        process = subprocess.Popen(
            [server.binary, "web", "--config", settings], stdout=out, stderr=out, env=_environment()
        )
    try:
        _wait(server, process, work / "out")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(work, ignore_errors=True)


def _wait(server: Server, process: subprocess.Popen[bytes], out: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, out.read_text(errors="replace")[-2000:]
        try:
            if httpx.get(f"{server.url}/api/v1/version", timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"Gitea did not start within {START_SECONDS:g} s: {out.read_text(errors='replace')[-2000:]}")

"""What serves behind a deployment: the serving image's server as a process.

A container whose environment says `MLINFRA_SERVING_MODE` is mlinfra's serving image; it brings the model itself, from
the emulated Blob Storage. Any other is one that answers every request with its name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.free_port import free_port

ALIVE_SECONDS = 60.0
_SAID = 700


class Server:
    """One process, and whether it answers."""

    def __init__(self, environment: Mapping[str, str], outside: Mapping[str, str]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mlinfra-lab-azure-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        if "MLINFRA_SERVING_MODE" not in environment:
            return
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLINFRA_")}
        told = {name: value for name, value in environment.items() if name != "AZURE_CLIENT_ID"}
        own = {"MLINFRA_SERVING_PORT": str(port), "TMPDIR": str(self._folder)}
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mlinfra_serving", "serve", "--host", "127.0.0.1"],
                env={**kept, **outside, **told, **own},
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    def state(self) -> str:
        """Return `starting`, `healthy` or `failed`, as the readiness route says."""
        if self._process is None:
            return "healthy"
        if self._process.poll() is not None:
            return "failed"
        try:
            healthy = httpx.get(f"{self.url}/", timeout=2, trust_env=False).is_success
        except httpx.TransportError:
            return "starting"
        return "healthy" if healthy else "starting"

    def said(self) -> str:
        """Return the end of what it wrote."""
        log = self._folder / "log"
        return log.read_text(errors="replace")[-_SAID:] if log.exists() else ""

    def answer(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes, dict[str, str]]:
        """Ask the container: status, body and headers of its answer."""
        if self._process is None:
            return 200, json.dumps({"outputs": []}).encode(), {"content-type": "application/json"}
        answer = httpx.post(
            f"{self.url}/score", content=body, headers=dict(headers), timeout=ALIVE_SECONDS, trust_env=False
        )
        return answer.status_code, answer.content, dict(answer.headers)

    def stop(self) -> None:
        """End it, and remove what it wrote."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class Fleet:
    """The servers by the id of their deployment."""

    def __init__(self, outside: Mapping[str, str]) -> None:
        self._outside = outside
        self._lock = threading.Lock()
        self._servers: dict[str, Server] = {}

    def made(self, environment: Mapping[str, str]) -> Server:
        """Start a server that serves nobody yet."""
        return Server(environment, self._outside)

    def find(self, deployment: str) -> Server | None:
        with self._lock:
            return self._servers.get(deployment.lower())

    def put(self, deployment: str, server: Server) -> None:
        """Let a server serve for a deployment, in the place of the one before."""
        with self._lock:
            before = self._servers.get(deployment.lower())
            self._servers[deployment.lower()] = server
        if before is not None and before is not server:
            threading.Thread(target=before.stop, daemon=True).start()

    def drop(self, deployment: str) -> None:
        """End the server of a deployment."""
        with self._lock:
            server = self._servers.pop(deployment.lower(), None)
        if server is not None:
            threading.Thread(target=server.stop, daemon=True).start()

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            server.stop()

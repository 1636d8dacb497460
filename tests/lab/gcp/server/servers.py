"""What serves behind an endpoint: the serving image's server as a process for each deployed model.

The container gets its port, its routes, and the address of the model's files in variables, and brings the files itself:
https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.free_port import free_port

ANSWER_SECONDS = 60.0
_DIES_SECONDS = 10


class Server:
    """One process, and whether it answers; `health` and `predict` are its routes."""

    def __init__(self, variables: Mapping[str, str], *, health: str, predict: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mlinfra-lab-model-"))
        self._health, self._predict = health, predict
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(timeout=ANSWER_SECONDS, trust_env=False)
        own = {"AIP_HTTP_PORT": str(port), "AIP_HEALTH_ROUTE": health, "AIP_PREDICT_ROUTE": predict}
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mlinfra_serving", "serve", "--host", "127.0.0.1"],
                env={**os.environ, **variables, **own, "TMPDIR": str(self._folder)},
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    def failed(self) -> bool:
        return self._process.poll() is not None

    def healthy(self) -> bool:
        """Say whether it answers the health check."""
        try:
            return self._client.get(f"{self._url}{self._health}", timeout=2).is_success
        except httpx.TransportError:
            return False

    def answer(self, body: bytes, type_: str, headers: Mapping[str, str]) -> httpx.Response:
        """Let the container answer. Raises httpx.TransportError."""
        return self._client.post(
            f"{self._url}{self._predict}", content=body, headers={**headers, "content-type": type_}
        )

    def log(self) -> str:
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_DIES_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

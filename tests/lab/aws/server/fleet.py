"""What serves behind an endpoint: the serving image's server as a process for each model, where the model asks for it.

A container whose environment says `MLINFRA_SERVING_MODE` is mlinfra's serving image: its server runs here, with the
model's files fetched from the emulated S3, as SageMaker puts them into `/opt/ml/model`
(docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html). Any other container is one that answers
every request with what it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.free_port import free_port

Parameters = dict[str, Any]
Objects = Callable[[str], list[tuple[str, bytes]]]
"""Returns the objects under an S3 prefix: path below it, and content."""

UNHEALTHY = "The primary container for production variant {} did not pass the ping health check."
ALIVE_SECONDS = 60.0


class Server:
    """One process, and whether it answers."""

    def __init__(self, environment: dict[str, str], files: list[tuple[str, bytes]]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mlinfra-lab-model-"))
        for name, content in files:
            path = self._folder / "model" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            if name.endswith(".tar.gz"):
                with tarfile.open(path) as archive:
                    archive.extractall(self._folder / "model", filter="data")
                path.unlink()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        own = {"SM_MODEL_DIR": str(self._folder / "model"), "SAGEMAKER_BIND_TO_PORT": str(port)}
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mlinfra_serving", "serve", "--host", "127.0.0.1"],
                env={**os.environ, **environment, **own},
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    def state(self) -> str:
        """Return `starting`, `healthy` or `failed`."""
        if self._process.poll() is not None:
            return "failed"
        try:
            healthy = httpx.get(f"{self.url}/ping", timeout=2, trust_env=False).is_success
        except httpx.TransportError:
            return "starting"
        return "healthy" if healthy else "starting"

    def answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """Ask the container: status, body and type of the answer."""
        answer = httpx.post(
            f"{self.url}/invocations", content=body, headers=headers, timeout=ALIVE_SECONDS, trust_env=False
        )
        return answer.status_code, answer.content, answer.headers.get("content-type", "application/json")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class Fleet:
    """The servers of one region, by model. A model serves as long as an endpoint wants it."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        self._servers: dict[str, Server] = {}

    def start(self, model: str, container: Parameters) -> None:
        """Start the server of a model unless it runs, or needs none."""
        environment = container.get("Environment", {})
        if "MLINFRA_SERVING_MODE" not in environment:
            return
        with self._lock:
            if model not in self._servers:
                source = container.get("ModelDataSource", {}).get("S3DataSource", {}).get("S3Uri")
                uri = source or container.get("ModelDataUrl", "")
                self._servers[model] = Server(environment, self._objects(uri))

    def state(self, model: str) -> str:
        server = self._servers.get(model)
        return server.state() if server else "healthy"

    def answer(self, model: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """Let a model answer."""
        server = self._servers.get(model)
        if server is None:
            return 200, json.dumps({"model": model}).encode(), "application/json"
        return server.answer(body, headers)

    def keep(self, models: set[str]) -> None:
        """Stop the servers of all other models."""
        with self._lock:
            ended = [self._servers.pop(name) for name in list(self._servers) if name not in models]
        stopping = [threading.Thread(target=server.stop) for server in ended]
        for thread in stopping:
            thread.start()
        if not models:
            for thread in stopping:
                thread.join()

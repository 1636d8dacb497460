"""The emulated Google Cloud, started and asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.free_port import free_port

ROOT = Path(__file__).parents[3]
PROJECT, REGION = "lab-project", "us-central1"
STATE, ARTIFACTS = "gs://lab-state", "gs://lab-artifacts/models"
START_SECONDS = 300.0
_ASK_SECONDS = 120.0


@dataclass(frozen=True)
class Emulator:
    """A running one. `environment` is what programs and tools need to talk to it."""

    url: str
    credentials: Path
    client: httpx.Client = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "MLINFRA_VERTEX_ENDPOINT": self.url,
            "BIGQUERY_EMULATOR_HOST": self.url,
            # without the scheme, as Pulumi's backend wants it
            "STORAGE_EMULATOR_HOST": self.url.removeprefix("http://"),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            # gcsfs asks over gRPC whether a bucket has folders; the lab speaks HTTP
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "NO_GCE_CHECK": "true",
            "NO_PROXY": "127.0.0.1",
        }

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Ask with no client of Google's, and no fault in between; raises httpx.HTTPStatusError."""
        answer = self.client.request(method, path, json=body, params=query)
        answer.raise_for_status()
        return answer.json()

    def fault(self, name: str, times: int = 1, operation: str = "") -> None:
        """Let a fault happen (`faults.NAMES`)."""
        self.ask("POST", "/lab/faults", {"name": name, "times": times, "operation": operation})

    def no_faults(self) -> None:
        self.ask("DELETE", "/lab/faults")

    def slow(self, seconds: float) -> None:
        """Say how long a change takes."""
        self.ask("PUT", "/lab/clock", {"seconds": seconds})

    def requests(self) -> dict[str, int]:
        """Return how often each operation was asked for."""
        answer: dict[str, int] = self.ask("GET", "/lab/requests")
        return answer

    def there(self) -> list[str]:
        """Return everything that did not come with the project, as `kind name`."""
        answer: list[str] = self.ask("GET", "/lab/there")
        return answer

    def empty(self) -> None:
        """Forget everything."""
        self.ask("POST", "/lab/empty")


@contextmanager
def running(port: int | None = None) -> Iterator[Emulator]:
    """Start one and end it at the end."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="mlinfra-lab-gcp-") as scratch:
        credentials = Path(scratch) / "account.json"
        credentials.write_text(json.dumps(_account(url)))
        client = httpx.Client(base_url=url, timeout=_ASK_SECONDS, trust_env=False, headers={"x-lab-plugin": "1"})
        emulator = Emulator(url, credentials, client)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.lab.gcp.server", str(port)],
            cwd=ROOT,
            env={**os.environ, **emulator.environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + START_SECONDS
            while True:
                assert process.poll() is None, "the emulated Google Cloud ended at its start"
                try:
                    emulator.requests()
                    break
                except httpx.TransportError:
                    assert time.monotonic() < end, "the emulated Google Cloud does not answer"
                    time.sleep(0.1)
            yield emulator
        finally:
            process.terminate()
            process.wait(60)
            client.close()


def _account(url: str) -> dict[str, str]:
    """Return the key of a service account, which Google's clients find by themselves; the lab takes it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "lab",
        "private_key": written,
        "client_email": f"who-runs-mlinfra@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{url}/token",
    }

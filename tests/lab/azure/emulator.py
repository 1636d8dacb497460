"""The emulated Azure, started and asked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.free_port import free_port
from tests.lab.azure.server.account import (
    ACCOUNT,
    ADDRESS,
    GROUP,
    MODELS,
    REGION,
    REGISTRY,
    STATE,
    VERSION,
    connection_string,
)
from tests.lab.azure.server.resource_manager import SUBSCRIPTION

ROOT = Path(__file__).parents[3]
START_SECONDS = 300.0
_SETTLED = ("Succeeded", "Failed", "Canceled")


@dataclass(frozen=True)
class Emulator:
    """A running one."""

    url: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What programs and tools need to talk to it."""
        return {
            ADDRESS: self.url,
            "AZURE_STORAGE_CONNECTION_STRING": connection_string(self.url),
            "NO_PROXY": "127.0.0.1",
        }

    @property
    def place(self) -> Mapping[str, Any]:
        """The fields of an environment file that say where."""
        registry = f"{REGISTRY}.azurecr.io"
        return {
            "account": SUBSCRIPTION,
            "region": REGION,
            "resource_group": GROUP,
            "state": f"azblob://{STATE}?storage_account={ACCOUNT}",
            "artifacts": f"abfs://{MODELS}@{ACCOUNT}.dfs.core.windows.net/mlinfra",
            "images": {
                kind: f"{registry}/mlinfra-{kind}@sha256:{digit * 64}"
                for kind, digit in (("serving", "1"), ("training", "2"))
            },
            "policies": {"exceptions": [_excepted(part) for part in ("training_jobs", "drift_monitors")]},
        }

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Send a request of the lab's own, or one to Azure Resource Manager; tries once."""
        question = {} if path.startswith("/lab/") else {"api-version": VERSION}
        url = f"{self.url}{path}"
        return httpx.request(method, url, params=question, json=body, timeout=60, trust_env=False)

    def fault(self, name: str, times: int = 1) -> None:
        """Let a fault happen (`faults.NAMES`)."""
        self.ask("POST", "/lab/faults", {"name": name, "times": times}).raise_for_status()

    def no_faults(self) -> None:
        self.ask("DELETE", "/lab/faults").raise_for_status()

    def slow(self, seconds: float) -> None:
        """Say how long a change takes."""
        self.ask("PUT", "/lab/clock", {"seconds": seconds}).raise_for_status()

    def reset(self) -> None:
        """Forget what did not come with the account."""
        self.ask("POST", "/lab/reset").raise_for_status()

    def settled(self, path: str) -> dict[str, Any]:
        """Wait until nothing is under way at a thing, and return it."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            told: dict[str, Any] = self.ask("GET", path).json()
            if told.get("properties", {}).get("provisioningState") in _SETTLED:
                return told
            time.sleep(0.05)
        raise AssertionError(f"{path} does not settle")


def _excepted(kind: str) -> dict[str, str]:
    """Return the exception that the example environment has: clusters of a managed network take no subnet."""
    reason = "its network is managed"
    return {
        "rule": "NET-04",
        "part": f"{kind}.crowds",
        "reason": reason,
        "owner": "people@example.com",
        "until": "2099-12-31",
    }


@contextmanager
def running(port: int | None = None) -> Iterator[Emulator]:
    """Start one and end it at the end."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.lab.azure.server", str(port)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    emulator = Emulator(f"http://127.0.0.1:{port}")
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            assert process.poll() is None, "the emulated Azure ended at its start"
            try:
                emulator.ask("GET", "/lab/requests").raise_for_status()
                break
            except httpx.TransportError:
                assert time.monotonic() < end, "the emulated Azure does not answer"
                time.sleep(0.1)
        yield emulator
    finally:
        process.terminate()
        process.wait(30)

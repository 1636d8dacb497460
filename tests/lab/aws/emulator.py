"""The emulated AWS, started and asked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from tests.free_port import free_port

ROOT = Path(__file__).parents[3]
REGION = "eu-west-1"
START_SECONDS = 300.0


@dataclass(frozen=True)
class Emulator:
    """A running one. `environment` is what programs and tools need to talk to it."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    def client(self, service: str) -> Any:
        """Return a client of its own, not of the environment's; tries once."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}),
        )

    @cached_property
    def sagemaker(self) -> Any:
        return self.client("sagemaker")

    def fault(self, name: str, times: int = 1, operation: str = "") -> None:
        """Let a fault happen (`faults.NAMES`)."""
        body = {"name": name, "times": times, "operation": operation}
        httpx.post(f"{self.url}/lab/faults", json=body, trust_env=False).raise_for_status()

    def no_faults(self) -> None:
        httpx.delete(f"{self.url}/lab/faults", trust_env=False).raise_for_status()

    def slow(self, seconds: float) -> None:
        """Say how long a change of status takes."""
        httpx.put(f"{self.url}/lab/clock", json={"seconds": seconds}, trust_env=False).raise_for_status()

    def quotas(self, named: dict[str, float]) -> None:
        """Set SageMaker's quotas, by their names."""
        httpx.put(f"{self.url}/lab/quotas", json=named, trust_env=False).raise_for_status()

    def requests(self) -> dict[str, int]:
        """Return how often each operation was asked for."""
        answer: dict[str, int] = httpx.get(f"{self.url}/lab/requests", trust_env=False).json()
        return answer

    def invocations(self) -> dict[str, int]:
        """Return how many requests endpoints answered, by endpoint and variant."""
        answer: dict[str, int] = httpx.get(f"{self.url}/lab/invocations", trust_env=False).json()
        return answer

    def records(self) -> dict[str, Any]:
        """Return the records of feature groups: `offline` a list by group, `online` by group and identifier."""
        answer: dict[str, Any] = httpx.get(f"{self.url}/lab/records", trust_env=False).json()
        return answer

    def reset(self) -> None:
        """Forget everything, faults too, and stop what serves and trains."""
        for path in ("moto-api/reset", "lab/reset"):
            httpx.post(f"{self.url}/{path}", timeout=START_SECONDS, trust_env=False).raise_for_status()

    def settled(self, endpoint: str) -> dict[str, Any]:
        """Wait until nothing is under way at an endpoint, and describe it."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            told: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=endpoint)
            if told["EndpointStatus"] in ("InService", "Failed", "OutOfService"):
                return told
            time.sleep(0.05)
        raise AssertionError(f"endpoint {endpoint} does not settle")


@contextmanager
def running(port: int | None = None) -> Iterator[Emulator]:
    """Start one and end it at the end."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.lab.aws.server", str(port)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    emulator = Emulator(f"http://127.0.0.1:{port}")
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            assert process.poll() is None, "the emulated AWS ended at its start"
            try:
                httpx.get(f"{emulator.url}/lab/requests", timeout=5, trust_env=False).raise_for_status()
                break
            except httpx.TransportError:
                assert time.monotonic() < end, "the emulated AWS does not answer"
                time.sleep(0.1)
        yield emulator
    finally:
        process.terminate()
        process.wait(10)

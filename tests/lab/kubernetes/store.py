"""The object store that the cluster and its clients reach: moto's S3, as a process."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.aws.emulator import Emulator

START_SECONDS = 300.0


@contextmanager
def running() -> Iterator[Emulator]:
    """Start one and end it at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            assert process.poll() is None, "the object store ended at its start"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < end, "the object store does not answer"
                time.sleep(0.1)
        yield Emulator(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()

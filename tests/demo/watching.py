"""The drift monitor: samples of the months that the model was trained on, and July; it must tell them apart."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.demo import flights
from tests.demo.place import HERE, MLINFRA

BATCH_ROWS = 500
FLUSH_SECONDS = 12.0
"""Captured rows become Parquet every 10 seconds."""


def drift(url: str, environment: str) -> Iterator[tuple[bool, str]]:
    """Send samples of January to March, then one of July; yield whether the monitor tells them apart."""
    windows = [_window(url, bodies, _now) for bodies in flights.winter()]
    july = _window(url, flights.july(), _next_second)
    time.sleep(FLUSH_SECONDS)
    verdicts = [_measured(environment, span)["verdict"] for span in windows]
    quiet, samples = verdicts.count("ok"), len(windows)
    yield (
        quiet == samples,
        f"no drift in {quiet} of {samples} samples of January to March, {flights.WINDOW_ROWS:,} flights each",
    )
    result = _measured(environment, july)
    drifted = [column["column"] for column in result["columns"] if column["verdict"] == "drift"]
    yield result["verdict"] == "drift", f"July: {result['verdict']} in {', '.join(drifted) or 'no column'}"


def _measured(environment: str, span: str) -> dict[str, Any]:
    """Return the monitor's result for a window."""
    words = ["drift", environment, "--window", span, "--json"]
    done = subprocess.run([MLINFRA, *words], cwd=HERE, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1, 4):
        raise SystemExit(f"mlinfra {' '.join(words)} ended with {done.returncode}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _window(url: str, bodies: Sequence[Mapping[str, Any]], moment: Callable[[], str]) -> str:
    """Send flights in batches; return the span of time, START..END, in which the server saw them."""
    start = moment()
    for at in range(0, len(bodies), BATCH_ROWS):
        batch = bodies[at : at + BATCH_ROWS]
        inputs = [
            {**tensor, "shape": [len(batch)], "data": [body["inputs"][column]["data"][0] for body in batch]}
            for column, tensor in enumerate(batch[0]["inputs"])
        ]
        httpx.post(url, json={"inputs": inputs}, timeout=60, trust_env=False).raise_for_status()
    end = moment()
    time.sleep(0.01)
    return f"{start}..{end}"


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _next_second() -> str:
    """Wait until a whole second, which people can read, and return it."""
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((moment - datetime.now(UTC)).total_seconds())
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

"""`make demo`: one declared stack becomes real on this machine, answers real flights, and is taken down again.

KEEP=1 leaves everything running. Exit code 1 when anything is not as it must be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
MLINFRA = str(Path(sys.executable).with_name("mlinfra"))
ENVIRONMENT, ENDPOINT = "dev", "flight-delay"
REQUESTS, COMPARED, WORKERS = 2000, 100, 4
RESAMPLES, WINDOW_ROWS, BATCH_ROWS = 10, 2000, 500
FLUSH_SECONDS = 12.0
"""Captured rows become Parquet every 10 seconds."""


def main() -> int:
    started = time.monotonic()
    sys.path.insert(0, str(ROOT))
    checks: list[tuple[bool, str]] = []
    say("declare, train, register and serve")
    run("up", ENVIRONMENT)
    try:
        status = json.loads(run("status", ENVIRONMENT, "--json", quiet=True))
        endpoint = next(item for item in status["endpoints"] if item["endpoint"] == ENDPOINT)
        checks += predictions(endpoint)
        checks += drift(endpoint)
    finally:
        if os.environ.get("KEEP"):
            say(f"KEEP=1: everything goes on running; mlinfra down {ENVIRONMENT} ends it")
        else:
            say("take everything down")
            run("down", ENVIRONMENT)
    say(f"summary, after {time.monotonic() - started:.0f} s")
    for good, line in checks:
        print(f"  {'ok    ' if good else 'FAILED'}  {line}")
    return 0 if all(good for good, _ in checks) else 1


def predictions(endpoint: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    """Send single flights of April through the router; compare some with the model called directly."""
    from stacks.flight_delay import replay

    say(f"{REQUESTS:,} real April flights, one request each, through Envoy")
    bodies = list(replay.requests([4], REQUESTS))
    url = f"{endpoint['url']}/v2/models/{ENDPOINT}/infer"
    answers: dict[str, Any] = {}
    failures: list[str] = []
    latencies: list[float] = []
    local = threading.local()

    def send(body: dict[str, Any]) -> None:
        client = getattr(local, "client", None) or httpx.Client(timeout=30)
        local.client = client
        began = time.perf_counter()
        try:
            response = client.post(url, json=body)
            latencies.append((time.perf_counter() - began) * 1000)
            response.raise_for_status()
            answers[body["id"]] = (response.json()["outputs"][0]["data"][0], response.headers["x-mlinfra-release"])
        except httpx.HTTPError as error:
            failures.append(str(error))

    began = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        for number, _ in enumerate(pool.map(send, bodies), start=1):
            if number % 500 == 0:
                print(f"  {number:,} answered, {time.monotonic() - began:.0f} s")
    seconds, latencies_sorted = time.monotonic() - began, sorted(latencies)
    middle, high = (latencies_sorted[int(len(latencies_sorted) * share)] for share in (0.5, 0.95))
    yield (
        not failures and len(answers) == len({body["id"] for body in bodies}),
        f"{len(bodies):,} predictions through Envoy, {len(failures)} failed; {len(bodies) / seconds:.0f} a second, "
        f"p50 {middle:.1f} ms, p95 {high:.1f} ms",
    )
    releases = {release for _, release in answers.values()}
    yield len(releases) == 1, f"all answered by release {', '.join(sorted(releases))}"
    equal = compared(bodies[:COMPARED], answers)
    yield equal == COMPARED, f"{equal} of {COMPARED} equal to the model called directly"


def compared(bodies: Sequence[dict[str, Any]], answers: dict[str, Any]) -> int:
    """Return how many answers are what the model itself says."""
    import pandas as pd

    from mlinfra.operations.session import Session
    from mlinfra.repository import Repository
    from mlinfra_serving.artifacts import load_model

    session = Session.open(Repository(ROOT), ENVIRONMENT)
    release = session.resolved.part(f"endpoints.{ENDPOINT}").deployments[0].release
    folder = ROOT / ".mlinfra" / ENVIRONMENT / "endpoints" / ENDPOINT / "models" / release.short
    model = load_model(folder, release.identity.artifact, release.identity.runtime.name)
    names = [column["name"] for column in release.identity.signature["inputs"]]
    rows = [{item["name"]: item["data"][0] for item in body["inputs"]} for body in bodies]
    direct = model.predict(pd.DataFrame(rows)[names])
    return sum(abs(answers[body["id"]][0] - value) < 1e-12 for body, value in zip(bodies, direct, strict=True))


def drift(endpoint: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    """Send ten resamples of the training months and one of July; the monitor must tell them apart."""
    import pandas as pd

    from stacks.flight_delay import replay

    say(f"drift: {RESAMPLES} resamples of January to March, then July, {WINDOW_ROWS:,} flights each")
    winter = list(replay.requests([1, 2, 3], RESAMPLES * WINDOW_ROWS, seed=1))
    order = pd.Series(range(len(winter))).sample(frac=1, random_state=1)
    shuffled = [winter[index] for index in order]
    parts = [shuffled[start : start + WINDOW_ROWS] for start in range(0, len(shuffled), WINDOW_ROWS)]
    url = f"{endpoint['url']}/v2/models/{ENDPOINT}/infer"
    windows = [window(url, bodies) for bodies in [*parts, list(replay.requests([7], WINDOW_ROWS))]]
    time.sleep(FLUSH_SECONDS)
    verdicts = []
    for start, end in windows:
        text = run("drift", ENVIRONMENT, ENDPOINT, "--window", f"{start}..{end}", "--json", quiet=True, codes=(0, 1))
        verdicts.append(json.loads(text)["verdict"])
    quiet = verdicts[:-1].count("ok")
    yield quiet == RESAMPLES, f"no drift in {quiet} of {RESAMPLES} resamples of January to March"
    yield verdicts[-1] == "drift", f"July: {verdicts[-1]}"
    run("drift", ENVIRONMENT, ENDPOINT, "--window", f"{windows[-1][0]}..{windows[-1][1]}", codes=(1,))


def window(url: str, bodies: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Send flights in batches; return the moments between which the server saw them."""
    start = datetime.now(UTC).isoformat()
    for at in range(0, len(bodies), BATCH_ROWS):
        batch = bodies[at : at + BATCH_ROWS]
        inputs = [
            {**tensor, "shape": [len(batch)], "data": [body["inputs"][column]["data"][0] for body in batch]}
            for column, tensor in enumerate(batch[0]["inputs"])
        ]
        httpx.post(url, json={"inputs": inputs}, timeout=60).raise_for_status()
    end = datetime.now(UTC).isoformat()
    time.sleep(0.01)
    return start, end


def say(line: str) -> None:
    """Print a heading."""
    print(f"\n── {line}", flush=True)


def run(*arguments: str, quiet: bool = False, codes: Sequence[int] = (0,)) -> str:
    """Run mlinfra as a user would; its output is shown, or returned with `quiet`."""
    if not quiet:
        print(f"$ mlinfra {' '.join(arguments)}", flush=True)
    done = subprocess.run(
        [MLINFRA, *arguments], cwd=ROOT, stdout=subprocess.PIPE if quiet else None, text=True, check=False
    )
    if done.returncode not in codes:
        raise SystemExit(f"mlinfra {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())

"""`make demo`: one declared stack becomes real on this machine, answers real flights, and is taken down again.

KEEP=1 leaves everything running. Exit code 1 when anything is not as it must be.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from mlinfra_cli import render
from mlinfra_cli.render import Cell, text

ROOT = Path(__file__).resolve().parents[2]
MLINFRA = str(Path(sys.executable).with_name("mlinfra"))
ENVIRONMENT, ENDPOINT = "demo", "flight-delay"
REQUESTS, COMPARED, WORKERS = 2000, 100, 4
RESAMPLES, WINDOW_ROWS, BATCH_ROWS = 10, 2000, 500
ACCEPTED_AUC = 0.68
INTERRUPTED = 130
FLUSH_SECONDS = 12.0
"""Captured rows become Parquet every 10 seconds."""

Checks = Iterator[tuple[bool, str]]


def main() -> int:
    started = time.monotonic()
    sys.path.insert(0, str(ROOT))
    checks: list[tuple[bool, str]] = []
    introduce()
    try:
        say("1 of 4", "make it real: features, training, registry, endpoint, drift monitor")
        run("up", ENVIRONMENT)
        status = json.loads(run("status", ENVIRONMENT, "--json", quiet=True))
        endpoint = next(item for item in status["endpoints"] if item["endpoint"] == ENDPOINT)
        checks += trained(endpoint)
        checks += predictions(endpoint)
        checks += drift(endpoint)
    finally:
        checks += ending()
    say("summary", f"after {render.seconds(time.monotonic() - started)}")
    for good, line in checks:
        show(("ok    " if good else "FAILED", "good" if good else "bad"), f"  {line}", indent=2)
    if all(good for good, _ in checks):
        show("KEEP=1 make demo leaves it running; . .venv/bin/activate brings mlinfra to your shell", indent=2)
    return 0 if all(good for good, _ in checks) else 1


def introduce() -> None:
    """Say what is going to happen to somebody who never heard of it."""
    show("Will a flight out of New York arrive late? One declared ML platform, made real on this machine.")
    parts = "two feature stores, training, registry, endpoint, monitor"
    for word, file, holds in (
        ("what", "stacks/flight_delay/stack.py", parts),
        ("where", f"environments/{ENVIRONMENT}.yaml", "target: local (Feast, MLflow, KServe, Envoy)"),
    ):
        show((f"{word:7}", "name"), f"{file:30}", (holds, "quiet"), indent=2)


def trained(endpoint: dict[str, Any]) -> Checks:
    """Say how good the model is, by the metrics that its script logged."""
    metrics = endpoint["trained"]["metrics"]
    yield (
        metrics["auc"] >= ACCEPTED_AUC,
        f"trained on {metrics['rows_trained']:,.0f} flights of January to March: "
        f"AUC {metrics['auc']:.3f} on held-out days, {metrics['auc_april']:.3f} in April",
    )


def predictions(endpoint: dict[str, Any]) -> Checks:
    """Send single flights of April through the router; compare some with the model called directly."""
    from stacks.flight_delay import replay

    say("2 of 4", f"ask it: {REQUESTS:,} real flights of April 2013, one request each, through Envoy")
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
            if number in (REQUESTS // 2, REQUESTS):
                show(f"{number:,} answered, {render.seconds(time.monotonic() - began)}", indent=2)
    seconds, latencies_sorted = time.monotonic() - began, sorted(latencies) or [float("nan")]
    middle, high = (latencies_sorted[int(len(latencies_sorted) * share)] for share in (0.5, 0.95))
    for body in bodies[:: REQUESTS // 3][:3]:
        if body["id"] in answers:
            show(f"{described(body)}: {answers[body['id']][0]:.0%} likely to be late", indent=2)
    releases = {release for _, release in answers.values()}
    yield (
        not failures and len(answers) == len({body["id"] for body in bodies}) and len(releases) == 1,
        f"{len(bodies):,} predictions by release {', '.join(sorted(releases))}, {len(failures)} failed; "
        f"{len(bodies) / seconds:.0f} a second, p50 {middle:.0f} ms, p95 {high:.0f} ms",
    )
    equal = compared(bodies[:COMPARED], answers)
    yield equal == COMPARED, f"{equal} of {COMPARED} equal to the model called directly"


def described(body: dict[str, Any]) -> str:
    """Return a request as people speak of a flight."""
    value = {item["name"]: item["data"][0] for item in body["inputs"]}
    moment = datetime.fromisoformat(body["id"][:17])
    return f"{value['carrier']} from {value['origin']} to {value['dest']}, {moment:%d %B %Y %H:%M} UTC"


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
    given = [answers.get(body["id"], (float("nan"), ""))[0] for body in bodies]
    return sum(abs(answer - value) < 1e-12 for answer, value in zip(given, direct, strict=True))


def drift(endpoint: dict[str, Any]) -> Checks:
    """Send ten resamples of the training months and one of July; the monitor must tell them apart."""
    import pandas as pd

    from stacks.flight_delay import replay

    say("3 of 4", f"watch it: {RESAMPLES} samples of January to March, then July, {WINDOW_ROWS:,} flights each")
    winter = list(replay.requests([1, 2, 3], RESAMPLES * WINDOW_ROWS, seed=1))
    order = pd.Series(range(len(winter))).sample(frac=1, random_state=1)
    shuffled = [winter[index] for index in order]
    parts = [shuffled[start : start + WINDOW_ROWS] for start in range(0, len(shuffled), WINDOW_ROWS)]
    url = f"{endpoint['url']}/v2/models/{ENDPOINT}/infer"
    windows = [window(url, bodies, now) for bodies in parts]
    july = window(url, list(replay.requests([7], WINDOW_ROWS)), next_second)
    time.sleep(FLUSH_SECONDS)
    verdicts = [measured(span)["verdict"] for span in windows]
    show(f"January to March, {RESAMPLES} times: {' '.join(verdicts)}", indent=2)
    result = measured(july)
    run("drift", ENVIRONMENT, ENDPOINT, "--window", july, codes=(0, 1, 4))
    quiet = verdicts.count("ok")
    yield quiet == RESAMPLES, f"no drift in {quiet} of {RESAMPLES} samples of January to March"
    drifted = [column["column"] for column in result["columns"] if column["verdict"] == "drift"]
    yield result["verdict"] == "drift", f"July: {result['verdict']} in {', '.join(drifted) or 'no column'}"


def measured(span: str) -> dict[str, Any]:
    """Return the monitor's result for a window."""
    output = run("drift", ENVIRONMENT, ENDPOINT, "--window", span, "--json", quiet=True, codes=(0, 1, 4))
    result: dict[str, Any] = json.loads(output)
    return result


def window(url: str, bodies: Sequence[dict[str, Any]], moment: Callable[[], str]) -> str:
    """Send flights in batches; return the span of time, START..END, in which the server saw them."""
    start = moment()
    for at in range(0, len(bodies), BATCH_ROWS):
        batch = bodies[at : at + BATCH_ROWS]
        inputs = [
            {**tensor, "shape": [len(batch)], "data": [body["inputs"][column]["data"][0] for body in batch]}
            for column, tensor in enumerate(batch[0]["inputs"])
        ]
        httpx.post(url, json={"inputs": inputs}, timeout=60).raise_for_status()
    end = moment()
    time.sleep(0.01)
    return f"{start}..{end}"


def now() -> str:
    """Return this moment."""
    return datetime.now(UTC).isoformat()


def next_second() -> str:
    """Wait until a whole second, which people can read, and return it."""
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    time.sleep((moment - datetime.now(UTC)).total_seconds())
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def ending() -> Checks:
    """Take everything down, and look for what is left; with KEEP=1 leave it."""
    if os.environ.get("KEEP"):
        say("4 of 4", f"KEEP=1: everything goes on running, until mlinfra down {ENVIRONMENT}")
        return
    say("4 of 4", "take it down")
    before = processes()
    run("down", ENVIRONMENT)
    after = processes()
    yield not after, f"taken down: {len(before)} processes ended, {len(after)} left"


def processes() -> list[int]:
    """Return the processes of the environment: those whose command or folder names its data."""
    data = str(ROOT / ".mlinfra" / ENVIRONMENT)
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if any(data in argument for argument in process.info["cmdline"] or ()):
            found.append(process.info["pid"])
    return found


def say(part: str, title: str) -> None:
    """Show a heading."""
    show()
    show(("── ", "quiet"), (part, "name"), f"  {title}")


def show(*pieces: Cell, indent: int = 0) -> None:
    """Show a line as mlinfra itself does."""
    render.show(text(*pieces, indent=indent))
    sys.stdout.flush()


def run(*arguments: str, quiet: bool = False, codes: Sequence[int] = (0,)) -> str:
    """Run mlinfra as a user would; its output is shown, or returned with `quiet`."""
    if not quiet:
        show((f"$ mlinfra {' '.join(arguments)}", "name"))
    # Ctrl-C reaches the command too, which ends what it has begun; to end before it would kill it
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run(
            [MLINFRA, *arguments], cwd=ROOT, stdout=subprocess.PIPE if quiet else None, text=True, check=False
        )
    finally:
        signal.signal(signal.SIGINT, before)
    if done.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode not in codes:
        raise SystemExit(f"mlinfra {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout or ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)

"""The latency that Envoy and capture add to the bare model server.

Three servers of the same model: a bare one, one that captures every request, and one that does behind an Envoy. One
client with a connection kept open to each sends the same row to the three in turn, one request after the other, each
first as often as the others: what else the machine does meets all three alike.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import Result, percentile, variables

from mlinfra.digests import digest_tree
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.ports import Ports
from mlinfra_providers.local.router import Router
from mlinfra_providers.local.supervisor import Supervisor
from mlinfra_providers.local.traffic import Traffic

NAME = "bench"
RELEASE = "0123456789ab"
REQUESTS = 3000
WARM_UP = 200
START_SECONDS = 90
MOST_MS = 1.0
LABELS = {"bare": "by the bare server", "captured": "with capture"}
PATH = f"/v2/models/{NAME}/infer"


def run() -> Iterator[Result]:
    """Measure the three ways in turn."""
    with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as name, contextlib.ExitStack() as ending:
        root = Path(name)
        model, body = _model(root)
        layout = Layout(root, "bench")
        bare = _serve(root, model, Ports(layout).get("bare"), ending)
        captured = _serve(root, model, Ports(layout).get("captured"), ending, root / "capture")
        behind = _serve(root, model, Ports(layout).get("behind"), ending, root / "capture-behind")
        ending.callback(Supervisor(layout).stop)
        router = Router(layout, NAME)
        routed = router.start()
        router.apply(Traffic(1, {RELEASE: 100}, {RELEASE: behind}))
        times = _ask({"bare": bare, "captured": captured, "routed": routed}, body)
    p50 = {way: percentile(values, 0.5) for way, values in times.items()}
    for way, label, before in (
        ("captured", "capture adds", "bare"),
        ("routed", "Envoy adds", "captured"),
        ("routed", "Envoy and capture add", "bare"),
    ):
        added = {share: percentile(times[way], share) - percentile(times[before], share) for share in (0.5, 0.95, 0.99)}
        judged = label == "Envoy and capture add"
        yield Result(
            f"{label} to a request",
            f"{_shown(times[way])} ms (p50/p95/p99 of {REQUESTS:,})",
            f"{_shown(times[before])} ms {LABELS[before]}",
            f"{added[0.5]:+.2f}/{added[0.95]:+.2f}/{added[0.99]:+.2f} ms, p50 × {p50[way] / p50[before]:.2f}",
            f"< {MOST_MS:g} ms at p50" if judged else "-",
            added[0.5] < MOST_MS if judged else None,
        )


def _shown(values: list[float]) -> str:
    return "/".join(f"{percentile(values, share):.2f}" for share in (0.5, 0.95, 0.99))


def _ask(ports: dict[str, int], body: bytes) -> dict[str, list[float]]:
    """Return the milliseconds of each request, by way."""
    times: dict[str, list[float]] = {way: [] for way in ports}
    connections = {way: http.client.HTTPConnection("127.0.0.1", port, timeout=30) for way, port in ports.items()}
    ways = list(connections)
    for number in range(WARM_UP + REQUESTS):
        for place in range(len(ways)):
            way = ways[(number + place) % len(ways)]
            connection = connections[way]
            started = time.perf_counter()
            connection.request("POST", PATH, body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            took = 1000 * (time.perf_counter() - started)
            assert response.status == 200, answer
            if number >= WARM_UP:
                times[way].append(took)
    for connection in connections.values():
        connection.close()
    return times


def _model(root: Path) -> tuple[Path, bytes]:
    """Write a small real model; return its folder, and the body of a request with one row."""
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]

    from mlinfra_serving.artifacts import write_model

    random = np.random.default_rng(7)
    frame = pd.DataFrame({f"input_{number}": random.normal(size=500) for number in range(8)})
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(frame, frame.sum(axis=1) > 0)
    write_model(model, frame, root / "model")
    row: list[dict[str, Any]] = [
        {"name": column, "datatype": "FP64", "shape": [1], "data": [float(frame[column][0])]} for column in frame
    ]
    return root / "model", json.dumps({"inputs": row}).encode()


def _serve(root: Path, model: Path, port: int, ending: contextlib.ExitStack, capture: Path | None = None) -> int:
    """Start a server as the local target does, and wait until it is ready; return its port."""
    command = [
        sys.executable, "-m", "mlinfra_serving", "--name", NAME, "--runtime", "sklearn", "--model-dir", str(model),
        "--model-digest", digest_tree(model), "--release", RELEASE, "--host", "127.0.0.1", "--port", str(port),
        "--drain-seconds", "0",
    ]  # fmt: skip
    if capture:
        command += ["--capture-dir", str(capture), "--capture-percent", "100"]
    log = (root / f"server-{port}.log").open("wb")
    process = subprocess.Popen(command, env=variables(OMP_NUM_THREADS="1"), stdout=log, stderr=log, cwd=root)
    ending.callback(log.close)
    ending.callback(_end, process)
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", f"/v2/models/{NAME}/ready")
            if connection.getresponse().status == 200:
                return port
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start:\n{(root / f'server-{port}.log').read_text()}")
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""Real serving processes on free loopback ports, and the small models that they serve."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from mlinfra.digests import digest_tree
from mlinfra_serving.artifacts import write_model

NAME = "flight-delay"
RELEASE = "3f9c2ab1d07e"
_START_SECONDS = 60


@dataclass
class Artifact:
    """A model in memory, the rows it was trained on, and the same model in a folder."""

    model: Any
    frame: pd.DataFrame
    folder: Path
    runtime: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        self.digest = digest_tree(self.folder)


@dataclass
class Serving:
    """A serving process."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str

    def infer(self, body: Any, name: str = NAME, **headers: str) -> httpx.Response:
        return httpx.post(f"{self.url}/v2/models/{name}/infer", json=body, headers=headers, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30)

    def metric(self, line_start: str) -> float:
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(line_start + " "):
                return float(line.split()[-1])
        return 0.0

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)


Serve = Callable[..., Serving]


def _start(log: Path, arguments: list[str], environment: dict[str, str]) -> Serving:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLINFRA_", "AIP_", "SM_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlinfra_serving", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=inherited | environment,
        )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r" on http://[^:]+:(\d+) after", log.read_text())
        if found:
            url = f"http://127.0.0.1:{found[1]}"
            try:
                httpx.get(f"{url}/v2/health/live")
            except httpx.ConnectError:
                time.sleep(0.02)
                continue
            return Serving(process, log, url)
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


def _arguments(artifact: Artifact, options: dict[str, Any]) -> list[str]:
    settings = {
        "name": NAME,
        "runtime": artifact.runtime,
        "model-dir": artifact.folder,
        "model-digest": artifact.digest,
        "release": RELEASE,
        "host": "127.0.0.1",
        "port": 0,
        "drain-seconds": 0,
    } | {key.replace("_", "-"): value for key, value in options.items()}
    return [piece for key, value in settings.items() for piece in (f"--{key}", str(value))]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a server for one test: `serve(artifact, capture_dir=…)` or `serve(environment={…}, arguments=[…])`."""
    started: list[Serving] = []

    def start(
        artifact: Artifact | None = None,
        *,
        environment: dict[str, str] | None = None,
        arguments: list[str] | None = None,
        **options: Any,
    ) -> Serving:
        given = arguments or []
        if artifact is not None:
            given = _arguments(artifact, options)
        serving = _start(tmp_path / f"server-{len(started)}.log", given, environment or {})
        started.append(serving)
        return serving

    yield start
    for serving in started:
        serving.end(signal.SIGKILL)


def training_rows(count: int = 400) -> tuple[pd.DataFrame, pd.Series]:
    """Return inputs of every kind (an integer, one with nulls, text with nulls, a boolean) and labels."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "dep_hour": random.integers(0, 24, count),
            "wind_gust": np.where(random.random(count) < 0.3, np.nan, random.normal(20, 5, count)),
            "dest": random.choice(np.array(["ATL", "BOS", "ORD", None], dtype=object), count),
            "weekend": random.random(count) < 0.3,
        }
    )
    score = frame["dep_hour"] / 24 + (frame["dest"] == "ORD") * 0.4 + random.normal(0, 0.2, count)
    return frame, (score > 0.7).astype(int)


@pytest.fixture(scope="session")
def sklearn_artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    from sklearn.compose import make_column_transformer  # type: ignore[import-untyped]
    from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import OneHotEncoder  # type: ignore[import-untyped]

    frame, labels = training_rows()
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = make_pipeline(
        make_column_transformer((encoder, ["dest"]), remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=10, random_state=0),
    ).fit(frame, labels)
    folder = tmp_path_factory.mktemp("sklearn") / "model"
    return Artifact(model, frame, folder, write_model(model, frame, folder))


@pytest.fixture(scope="session")
def xgboost_artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    import xgboost

    frame, labels = training_rows()
    frame = frame.assign(dest=frame["dest"].astype("category"))
    model = xgboost.XGBClassifier(n_estimators=10, enable_categorical=True, n_jobs=1).fit(frame, labels)
    folder = tmp_path_factory.mktemp("xgboost") / "model"
    return Artifact(model, frame, folder, write_model(model, frame, folder))


@pytest.fixture(scope="session")
def server(sklearn_artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for all tests that only ask."""
    serving = _start(tmp_path_factory.mktemp("server") / "log", _arguments(sklearn_artifact, {}), {})
    yield serving
    serving.end(signal.SIGKILL)


def v2_body(frame: pd.DataFrame, **more: Any) -> dict[str, Any]:
    """Return the V2 body of a frame."""
    return more | {"inputs": [_tensor(frame[name]) for name in frame.columns]}


def _tensor(column: pd.Series) -> dict[str, Any]:
    values = [None if pd.isna(value) else value for value in column.astype("object").tolist()]
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "O"
    datatype = {"b": "BOOL", "O": "BYTES"}.get(kind, "FP64")
    return {"name": column.name, "datatype": datatype, "shape": [len(values)], "data": values}


@pytest.fixture(scope="session")
def body_of() -> Callable[..., dict[str, Any]]:
    return v2_body

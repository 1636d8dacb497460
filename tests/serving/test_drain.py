"""The end of a server: SIGTERM loses no request that was sent."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from mlinfra.digests import digest_tree
from mlinfra_serving.artifacts import write_model

pytestmark = pytest.mark.local


def test_sigterm_under_load_loses_nothing(
    serve: Any, sklearn_artifact: Any, body_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    serving = serve(sklearn_artifact, drain_seconds=1.5, capture_dir=tmp_path / "capture")
    url = f"{serving.url}/v2/models/flight-delay/infer"
    body = body_of(sklearn_artifact.frame.head(2))
    leave, ending = threading.Event(), threading.Event()
    answers: list[tuple[int, bool, str]] = []

    def send() -> None:
        with httpx.Client(timeout=30) as client:
            while not leave.is_set():
                after = ending.is_set()
                response = client.post(url, json=body)
                answers.append((response.status_code, after, response.headers.get("connection", "")))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(answers) < 40:
        time.sleep(0.01)
    serving.process.terminate()
    ending.set()
    # as a router does: leave when the server says that it is not ready
    while httpx.get(f"{serving.url}/v2/health/ready").status_code == 200:
        time.sleep(0.01)
    assert httpx.get(f"{serving.url}/v2/models/flight-delay/ready").status_code == 503
    assert httpx.get(f"{serving.url}/v2/health/live").status_code == 200
    time.sleep(0.3)
    leave.set()
    for thread in threads:
        thread.join()
    assert serving.end() == 0
    assert {status for status, _, _ in answers} == {200}
    late = [connection for _, after, connection in answers if after]
    assert late
    assert late[-1] == "close"
    captured = [pq.ParquetFile(path).metadata.num_rows for path in tmp_path.glob("capture/*/date=*/*.parquet")]
    assert sum(captured) == 2 * len(answers)


def test_a_request_in_flight_is_answered_after_sigterm(serve: Any, tmp_path: Path) -> None:
    import cloudpickle  # type: ignore[import-untyped]
    import mlflow.pyfunc

    class Slow(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined,misc]
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            # without types: MLflow would take them for the model's signature
            import time

            time.sleep(float(model_input["seconds"].max()))
            return model_input["seconds"] * 2

    # the server cannot import this test: the class travels in the model
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    frame = pd.DataFrame({"seconds": np.zeros(3)})
    folder = tmp_path / "model"
    runtime = write_model(Slow(), frame, folder)
    assert runtime == "mlflow"
    arguments = f"--name slow --release r --runtime {runtime} --port 0 --drain-seconds 0".split()
    serving = serve(arguments=[*arguments, "--model-dir", str(folder), "--model-digest", digest_tree(folder)])
    answers: list[httpx.Response] = []

    def send() -> None:
        tensor = {"name": "seconds", "datatype": "FP64", "shape": [1], "data": [1.5]}
        answers.append(serving.infer({"inputs": [tensor]}, name="slow"))

    thread = threading.Thread(target=send)
    thread.start()
    while serving.metric("mlinfra_requests_in_flight") < 1:
        time.sleep(0.01)
    assert serving.end() == 0
    thread.join()
    assert answers[0].status_code == 200, answers[0].text
    assert answers[0].json()["outputs"][0]["data"] == [3.0]
    # serving it has changed nothing in the folder, so that the next start accepts it
    assert digest_tree(folder) == arguments_digest(serving.process.args)


def arguments_digest(arguments: Any) -> str:
    return str(arguments[arguments.index("--model-digest") + 1])

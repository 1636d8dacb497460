"""A real server process: its answers, its errors, and what it can be reached by."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

pytestmark = pytest.mark.local
Body = Callable[..., dict[str, Any]]
RELEASE = "3f9c2ab1d07e"
GOOD = [
    {"name": "dep_hour", "datatype": "INT64", "shape": [1], "data": [17]},
    {"name": "weekend", "datatype": "BOOL", "shape": [1], "data": [True]},
]


def predictions(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    output = response.json()["outputs"][0]
    assert output["name"] == "prediction"
    assert output["datatype"] == "FP64"
    assert output["shape"] == [len(output["data"])]
    return np.array(output["data"])


def test_the_answers_are_those_of_the_model_itself(server: Any, sklearn_artifact: Any, body_of: Body) -> None:
    rows = sklearn_artifact.frame.head(100)
    direct = sklearn_artifact.model.predict_proba(rows)[:, 1]
    np.testing.assert_array_equal(predictions(server.infer(body_of(rows))), direct)


def test_one_row_at_a_time_gives_the_same(server: Any, sklearn_artifact: Any, body_of: Body) -> None:
    rows = sklearn_artifact.frame.head(10)
    direct = sklearn_artifact.model.predict_proba(rows)[:, 1]
    single = [predictions(server.infer(body_of(rows.iloc[[place]])))[0] for place in range(len(rows))]
    np.testing.assert_array_equal(single, direct)


def test_the_answers_of_xgboost_with_text_are_those_of_the_model(
    serve: Any, xgboost_artifact: Any, body_of: Body
) -> None:
    rows = xgboost_artifact.frame.head(100)
    serving = serve(xgboost_artifact)
    direct = xgboost_artifact.model.predict_proba(rows)[:, 1]
    np.testing.assert_array_equal(predictions(serving.infer(body_of(rows))), direct.astype(float))
    # a single row carries one category only: its code must still be the one of training
    single = [predictions(serving.infer(body_of(rows.iloc[[place]])))[0] for place in range(10)]
    np.testing.assert_array_equal(single, direct[:10].astype(float))


def test_null_a_left_out_input_and_training_null_are_the_same(server: Any, sklearn_artifact: Any) -> None:
    row = sklearn_artifact.frame.head(1).assign(dep_hour=17, weekend=True, wind_gust=np.nan, dest=None)
    direct = sklearn_artifact.model.predict_proba(row)[:, 1]
    nulls = [
        {"name": "wind_gust", "datatype": "FP64", "shape": [1], "data": [None]},
        {"name": "dest", "datatype": "BYTES", "shape": [1], "data": [None]},
    ]
    np.testing.assert_array_equal(predictions(server.infer({"inputs": GOOD})), direct)
    np.testing.assert_array_equal(predictions(server.infer({"inputs": GOOD + nulls})), direct)


def test_text_matters(server: Any) -> None:
    answers = [
        predictions(
            server.infer({"inputs": [*GOOD, {"name": "dest", "datatype": "BYTES", "shape": [1], "data": [dest]}]})
        )
        for dest in ("ORD", "BOS")
    ]
    assert answers[0] > answers[1]


def test_inputs_that_the_model_does_not_know_are_ignored(server: Any) -> None:
    extra = {"name": "from_a_later_version", "datatype": "FP32", "shape": [7], "data": "anything"}
    assert predictions(server.infer({"inputs": [extra, *GOOD]})) == predictions(server.infer({"inputs": GOOD}))


def test_the_answer_names_model_release_and_request(server: Any) -> None:
    response = server.infer({"id": "a1", "inputs": GOOD})
    assert response.headers["x-mlinfra-release"] == RELEASE
    answer = response.json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("flight-delay", RELEASE, "a1")
    assert server.infer({"inputs": GOOD}, **{"x-request-id": "r7"}).json()["id"] == "r7"
    generated = [server.infer({"inputs": GOOD}).json()["id"] for _ in range(2)]
    assert len(set(generated)) == 2


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "dep_hour", "datatype": "FP64", "shape": [1], "data": [17]} | changes


WRONG: dict[str, tuple[Any, list[str]]] = {
    "not an object": ([1], ["body", "a list", "object"]),
    "no inputs": ({}, ["inputs", "null", "list"]),
    "inputs is text": ({"inputs": "x"}, ["inputs", "text"]),
    "all required are named": ({"inputs": []}, ["required", "dep_hour, weekend"]),
    "a tensor without a name": ({"inputs": [*GOOD, {"data": [1]}]}, ["inputs[2]", "name"]),
    "given twice": ({"inputs": [*GOOD, GOOD[0]]}, ["'dep_hour'", "twice"]),
    "text for a number": ({"inputs": [tensor(data=["x"]), GOOD[1]]}, ["'dep_hour'[0]", "text 'x'", "FP64"]),
    "boolean for a number": ({"inputs": [tensor(data=[True]), GOOD[1]]}, ["a boolean True", "FP64"]),
    "null for a required": ({"inputs": [tensor(data=[None]), GOOD[1]]}, ["'dep_hour'[0]", "null", "required"]),
    "wrong datatype": ({"inputs": [tensor(datatype="BYTES"), GOOD[1]]}, ["datatype", "'BYTES'", "FP64"]),
    "no datatype": ({"inputs": [tensor(datatype=None), GOOD[1]]}, ["datatype", "None"]),
    "shape does not fit": ({"inputs": [tensor(shape=[2]), GOOD[1]]}, ["shape [2]", "1 values"]),
    "two dimensions": ({"inputs": [tensor(shape=[1, 1]), GOOD[1]]}, ["shape", "[1, 1]", "[1]"]),
    "nested data": ({"inputs": [tensor(data=[[17]]), GOOD[1]]}, ["a list [17]", "FP64"]),
    "no data": ({"inputs": [tensor(data=None), GOOD[1]]}, ["data", "null", "list"]),
    "ragged": ({"inputs": [tensor(shape=[2], data=[1, 2]), GOOD[1]]}, ["different numbers", "dep_hour 2", "weekend 1"]),
    "no rows": ({"inputs": [tensor(shape=[0], data=[]), GOOD[1] | {"shape": [0], "data": []}]}, ["no rows"]),
    "id is a number": ({"id": 7, "inputs": GOOD}, ["id", "an integer"]),
    "unknown output": ({"inputs": GOOD, "outputs": [{"name": "score"}]}, ["outputs", "'score'", "'prediction'"]),
    "infinite for the model": ({"inputs": [tensor(data=[10**400]), GOOD[1]]}, ["JSON"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_body_is_answered_with_400_and_a_reason(server: Any, case: str) -> None:
    body, words = WRONG[case]
    response = server.infer(body)
    assert response.status_code == 400, response.text
    message = response.json()["error"]
    assert not [word for word in words if word not in message], message
    assert response.headers["x-mlinfra-release"] == RELEASE


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"inputs": NaN}', b'{"id":"\\ud800"}', b"[" * 100_000])
def test_what_is_not_json_is_answered_with_400(server: Any, content: bytes) -> None:
    response = httpx.post(f"{server.url}/v2/models/flight-delay/infer", content=content)
    assert response.status_code == 400, response.text
    assert "body" in response.json()["error"]


def test_binary_tensors_are_refused_with_400(server: Any) -> None:
    response = server.infer({"inputs": GOOD}, **{"inference-header-content-length": "12"})
    assert response.status_code == 400
    assert "binary" in response.json()["error"]


def test_a_body_that_is_too_large_is_answered_with_413(server: Any) -> None:
    chunk = b" " * (1 << 20)
    response = httpx.post(f"{server.url}/v2/models/flight-delay/infer", content=iter([chunk] * 33), timeout=30)
    assert response.status_code == 413
    assert "bytes" in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("GET", "/nothing", 404),
        ("GET", "/v2/models/flight-delay/infer", 405),
        # whoever reaches the port must not be able to unload the model
        ("POST", "/v2/repository/models/flight-delay/unload", 404),
        ("POST", "/v1/models/flight-delay:predict", 404),
    ],
)
def test_other_addresses_are_answered_with_an_error_in_json(server: Any, method: str, path: str, status: int) -> None:
    response = httpx.request(method, server.url + path, json={} if method == "POST" else None)
    assert response.status_code == status
    assert response.json()["error"]
    assert response.headers["x-mlinfra-release"] == RELEASE


def test_health_and_metadata(server: Any) -> None:
    assert server.get("/v2/health/live").json() == {"live": True}
    assert server.get("/v2/health/ready").json() == {"ready": True}
    assert server.get("/v2/models/flight-delay/ready").json() == {"name": "flight-delay", "ready": True}
    inputs = {entry["name"]: entry["datatype"] for entry in server.get("/v2/models/flight-delay").json()["inputs"]}
    assert inputs == {"dep_hour": "FP64", "wind_gust": "FP64", "dest": "BYTES", "weekend": "BOOL"}


def test_metrics_count_answers_by_status(server: Any) -> None:
    names = ['mlinfra_requests_total{code="200"}', 'mlinfra_requests_total{code="400"}']
    before = [server.metric(name) for name in names]
    server.infer({"inputs": GOOD})
    server.infer({"inputs": []})
    assert [server.metric(name) for name in names] == [count + 1 for count in before]
    assert server.metric('request_predict_seconds_count{model_name="flight-delay"}') > 0
    assert server.metric("mlinfra_requests_in_flight") == 0


def test_only_the_loopback_address_is_listened_on(server: Any) -> None:
    connections = [found for found in psutil.net_connections("inet") if found.pid == server.process.pid]
    listening = [found.laddr[0] for found in connections if found.laddr and found.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


def test_requests_are_not_logged(server: Any) -> None:
    before = server.log.read_text()
    server.infer({"inputs": GOOD})
    server.infer({"inputs": []})
    server.get("/v2/health/ready")
    assert server.log.read_text() == before


def test_serving_imports_no_library_of_another_runtime() -> None:
    program = (
        "import json, sys; import mlinfra_serving.server, mlinfra_serving.runtimes.sklearn, mlinfra_serving.artifacts; "
        "print(json.dumps([name for name in ('mlflow', 'xgboost', 'feast', 'duckdb') if name in sys.modules]))"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert json.loads(output.splitlines()[-1]) == []

"""The clouds' contracts, each by a server started the way that cloud starts it: from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytestmark = pytest.mark.local
RELEASE = "3f9c2ab1d07e"


def environment(artifact: Any, mode: str) -> dict[str, str]:
    return {
        "MLINFRA_SERVING_MODE": mode,
        "MLINFRA_SERVING_NAME": "flight-delay",
        "MLINFRA_SERVING_RUNTIME": artifact.runtime,
        "MLINFRA_SERVING_MODEL_DIGEST": artifact.digest,
        "MLINFRA_SERVING_RELEASE": RELEASE,
        "MLINFRA_SERVING_PORT": "0",
        "MLINFRA_SERVING_HOST": "127.0.0.1",
        "MLINFRA_SERVING_DRAIN_SECONDS": "0",
    }


def wrong(response: httpx.Response, words: str) -> None:
    assert response.status_code == 400, response.text
    assert words in response.json()["error"]
    assert response.headers["x-mlinfra-release"] == RELEASE


def test_sagemaker(serve: Any, sklearn_artifact: Any, body_of: Any) -> None:
    variables = environment(sklearn_artifact, "sagemaker") | {"SM_MODEL_DIR": str(sklearn_artifact.folder)}
    serving = serve(environment=variables, arguments=["serve"])
    rows = sklearn_artifact.frame.head(20)
    direct = sklearn_artifact.model.predict_proba(rows)[:, 1]
    url = f"{serving.url}/invocations"
    assert serving.get("/ping").status_code == 200

    from_json = httpx.post(url, json=body_of(rows))
    np.testing.assert_array_equal(from_json.json()["outputs"][0]["data"], direct)
    assert from_json.headers["x-mlinfra-release"] == RELEASE
    for header in (True, False):
        text = rows.to_csv(index=False, header=header)
        from_csv = httpx.post(url, content=text, headers={"content-type": "text/csv; charset=utf-8"})
        assert from_csv.status_code == 200, from_csv.text
        np.testing.assert_array_equal(from_csv.json()["outputs"][0]["data"], direct)
    wrong(httpx.post(url, content="1,2", headers={"content-type": "text/csv"}), "found 2 cells, expected 4")
    wrong(httpx.post(url, json={"inputs": []}), "dep_hour, weekend")
    # V2 is there in every mode
    assert serving.infer(body_of(rows)).status_code == 200


def test_vertex(serve: Any, sklearn_artifact: Any, body_of: Any) -> None:
    variables = environment(sklearn_artifact, "vertex") | {
        "AIP_STORAGE_URI": sklearn_artifact.folder.as_uri(),
        "AIP_HTTP_PORT": "0",
        "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
    }
    del variables["MLINFRA_SERVING_PORT"]
    serving = serve(environment=variables)
    rows = sklearn_artifact.frame.head(20)
    direct = sklearn_artifact.model.predict_proba(rows)[:, 1]
    url = serving.url + variables["AIP_PREDICT_ROUTE"]
    assert serving.get(variables["AIP_HEALTH_ROUTE"]).status_code == 200

    records = [
        {name: value for name, value in record.items() if value is not None and value == value}
        for record in rows.to_dict("records")
    ]
    answer = httpx.post(url, json={"instances": records})
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["predictions"]
    np.testing.assert_array_equal(answer.json()["predictions"], direct)
    assert answer.headers["x-mlinfra-release"] == RELEASE
    np.testing.assert_array_equal(httpx.post(url, json=body_of(rows)).json()["outputs"][0]["data"], direct)
    wrong(httpx.post(url, json={"instances": [[1, 2]]}), "instances[0]: found a list, expected an object")
    wrong(httpx.post(url, json={"instances": [{}]}), "required inputs are missing: dep_hour, weekend")
    wrong(httpx.post(url, json={"instances": []}), "missing")


def test_azureml(serve: Any, sklearn_artifact: Any, body_of: Any, tmp_path: Path) -> None:
    # Azure mounts a model in a folder of the model's name
    mounted = tmp_path / "azureml-models" / "flight-delay" / "3"
    mounted.mkdir(parents=True)
    (mounted / "model").symlink_to(sklearn_artifact.folder)
    serving = serve(environment=environment(sklearn_artifact, "azureml") | {"AZUREML_MODEL_DIR": str(mounted)})
    rows = sklearn_artifact.frame.head(20)
    direct = sklearn_artifact.model.predict_proba(rows)[:, 1]
    assert serving.get("/").status_code == 200
    answer = httpx.post(f"{serving.url}/score", json=body_of(rows))
    np.testing.assert_array_equal(answer.json()["outputs"][0]["data"], direct)
    assert answer.headers["x-mlinfra-release"] == RELEASE
    wrong(httpx.post(f"{serving.url}/score", content=b"{"), "not JSON")

"""Settings: from arguments, from the environment, from a cloud's own variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlinfra.problems import Problems
from mlinfra_serving import healthcheck
from mlinfra_serving.settings import read
from mlinfra_serving.storage import fetch

DIGEST = "sha256:" + "0" * 64
BASE = {
    "MLINFRA_SERVING_NAME": "m",
    "MLINFRA_SERVING_RUNTIME": "sklearn",
    "MLINFRA_SERVING_MODEL_DIGEST": DIGEST,
    "MLINFRA_SERVING_RELEASE": "r",
}


def test_an_argument_wins_over_the_environment() -> None:
    environment = BASE | {"MLINFRA_SERVING_PORT": "1", "MLINFRA_SERVING_MODEL_DIR": "/a"}
    assert read([], environment).port == 1
    settings = read(["--port", "2", "--capture-dir", "/c", "--capture-percent", "20"], environment)
    assert (settings.port, settings.model, settings.host, settings.mode) == (2, "/a", "127.0.0.1", "v2")
    assert (settings.capture_dir, settings.capture_percent) == (Path("/c"), 20)


def test_the_clouds_own_variables_fill_what_is_left_open() -> None:
    sagemaker = read(["serve", "--mode", "sagemaker"], BASE)
    assert (sagemaker.host, sagemaker.port, sagemaker.model) == ("0.0.0.0", 8080, "/opt/ml/model")
    vertex = read(["--mode", "vertex"], BASE | {"AIP_HTTP_PORT": "9000", "AIP_STORAGE_URI": "gs://bucket/m"})
    assert (vertex.host, vertex.port, vertex.model) == ("0.0.0.0", 9000, "gs://bucket/m")
    azureml = read(["--mode", "azureml", "--port", "7"], BASE | {"AZUREML_MODEL_DIR": "/var/m"})
    assert (azureml.host, azureml.port, azureml.model) == ("0.0.0.0", 7, "/var/m")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    wrong = {"name": "a/b", "runtime": "sklaern", "model-digest": "md5:1", "port": "70000", "capture-percent": "120"}
    with pytest.raises(Problems) as caught:
        read([piece for name, value in wrong.items() for piece in (f"--{name}", value)], {})
    message = str(caught.value)
    assert not [name for name in [*wrong, "model-dir", "release"] if f"--{name}" not in message], message
    assert "MLINFRA_SERVING_RELEASE" in message
    with pytest.raises(Problems, match="did you mean 'vertex'"):
        read(["--mode", "vertx"], BASE)


def test_a_share_is_captured_to_a_folder_or_to_a_store() -> None:
    told = BASE | {
        "MLINFRA_SERVING_PORT": "1",
        "MLINFRA_SERVING_MODEL_DIR": "/a",
        "MLINFRA_SERVING_CAPTURE_PERCENT": "5",
    }
    with pytest.raises(Problems, match="needs --capture-dir or --capture-store"):
        read([], told)
    alone = read(["--capture-store", "s3://bucket/captured"], told)
    assert (alone.capture_dir, alone.capture_store, alone.capture_percent) == (None, "s3://bucket/captured", 5)


def test_the_health_check_asks_the_port_of_the_server() -> None:
    assert healthcheck.port({"MLINFRA_SERVING_MODE": "azureml"}) == "5001"
    assert healthcheck.port({"MLINFRA_SERVING_MODE": "azureml", "MLINFRA_SERVING_PORT": "81"}) == "81"
    assert healthcheck.port({"MLINFRA_SERVING_MODE": "vertex", "AIP_HTTP_PORT": "82"}) == "82"
    assert healthcheck.port({}) == "8080"


def test_a_model_is_fetched_from_a_path_a_file_url_or_another_url(tmp_path: Path) -> None:
    import fsspec  # type: ignore[import-untyped]

    folder = tmp_path / "a model" / "1"
    folder.mkdir(parents=True)
    (folder / "signature.json").write_text("{}")
    assert fetch(str(folder)) == folder
    assert fetch(folder.as_uri()) == folder
    # a platform may mount the model's folder inside the one that it names
    assert fetch(str(folder.parent)) == folder
    memory = fsspec.filesystem("memory")
    memory.pipe({"/models/m/signature.json": b"{}", "/models/m/sub/part": b"1"})
    fetched = fetch("memory://models/m")
    assert sorted(path.relative_to(fetched).as_posix() for path in fetched.rglob("*") if path.is_file()) == [
        "signature.json",
        "sub/part",
    ]

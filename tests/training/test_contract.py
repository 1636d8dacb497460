"""Every target's own variables give the same contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlinfra.problems import MlinfraError
from mlinfra.training.contract import Contract, contract


def test_mlinfra() -> None:
    environ = {"MLINFRA_INPUT_WEATHER": "/w", "MLINFRA_PARAMS": '{"depth": 3}', "MLINFRA_OUTPUT": "/out/"}
    assert contract(environ) == Contract({"weather": "/w"}, {"depth": 3}, "/out/model", "/out")


def test_arguments_win_over_variables() -> None:
    environ = {"MLINFRA_INPUT_WEATHER": "/w", "MLINFRA_PARAMS": '{"depth": 3, "seed": 1}', "MLINFRA_OUTPUT": "/out"}
    found = contract(environ, inputs=["weather=/mnt/w"], params=["depth=4", "name=a b"], output="/mnt/out")
    assert found == Contract(
        {"weather": "/mnt/w"}, {"depth": 4, "seed": 1, "name": "a b"}, "/mnt/out/model", "/mnt/out"
    )


def test_sagemaker() -> None:
    environ = {
        "SM_CHANNEL_WEATHER": "/opt/ml/input/data/weather",
        "SM_HPS": '{"depth": 3, "label": "3"}',
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
    }
    assert contract(environ) == Contract(
        {"weather": "/opt/ml/input/data/weather"},
        {"depth": 3, "label": "3"},
        "/opt/ml/model",
        "/opt/ml/output/data",
    )


def test_vertex() -> None:
    environ = {
        "AIP_MODEL_DIR": "gs://bucket/job/model/",
        "AIP_TRAINING_DATA_URI": "gs://bucket/training.parquet",
        "MLINFRA_INPUT_WEATHER": "gs://bucket/weather.parquet",
    }
    assert contract(environ) == Contract(
        {"training": "gs://bucket/training.parquet", "weather": "gs://bucket/weather.parquet"},
        {},
        "gs://bucket/job/model",
        "gs://bucket/job/output",
    )


def test_azure() -> None:
    environ = {"AZURE_ML_INPUT_weather": "/mnt/in", "AZURE_ML_OUTPUT_result": "/mnt/out"}
    assert contract(environ) == Contract({"weather": "/mnt/in"}, {}, "/mnt/out/model", "/mnt/out")
    with pytest.raises(MlinfraError, match="2 outputs"):
        contract(environ | {"AZURE_ML_OUTPUT_default": "/mnt/default"})


def test_trainjob(tmp_path: Path) -> None:
    (tmp_path / "weather.parquet").touch()
    environ = {"PET_NNODES": "1", "MLINFRA_OUTPUT": "/out"}
    assert contract(environ, dataset=tmp_path).inputs == {"weather": str(tmp_path / "weather.parquet")}
    assert contract({"MLINFRA_OUTPUT": "/out"}, dataset=tmp_path).inputs == {}


def test_no_place_for_the_model() -> None:
    with pytest.raises(MlinfraError, match="where the model goes") as caught:
        contract({"MLINFRA_INPUT_WEATHER": "/w"})
    for name in ("MLINFRA_OUTPUT", "SM_MODEL_DIR", "AIP_MODEL_DIR", "AZURE_ML_OUTPUT", "--output"):
        assert name in caught.value.remedy


@pytest.mark.parametrize(
    ("environ", "arguments", "message"),
    [
        ({"MLINFRA_PARAMS": "{"}, {}, "MLINFRA_PARAMS is not JSON"),
        ({"SM_HPS": "[1]"}, {}, "SM_HPS is not a JSON object"),
        ({}, {"params": ["depth"]}, "'depth': expected name=value"),
        ({}, {"inputs": ["=x"]}, "expected name=value"),
    ],
)
def test_what_cannot_be_read(environ: dict[str, str], arguments: dict[str, list[str]], message: str) -> None:
    with pytest.raises(MlinfraError, match=message):
        contract({"MLINFRA_OUTPUT": "/out", **environ}, **arguments)  # type: ignore[arg-type]

"""The script's side of the training contract."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

from mlinfra import training
from mlinfra.problems import MlinfraError
from mlinfra.training import Run, UnknownInput


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"MLINFRA_OUTPUT": str(tmp_path / "output"), **more}


def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(rows, dtype="float64")})


def test_inputs_and_params_come_from_the_variables(tmp_path: Path) -> None:
    run = Run(environment(tmp_path, MLINFRA_INPUT_AIRPORT_WEATHER="/data/w.parquet", MLINFRA_PARAMS='{"depth": 3}'))
    assert run.inputs["airport_weather"] == Path("/data/w.parquet")
    assert list(run.inputs) == ["airport_weather"]
    assert run.params == {"depth": 3}


def test_an_unknown_input_names_the_nearest(tmp_path: Path) -> None:
    run = Run(environment(tmp_path, MLINFRA_INPUT_WEATHER="/data/w.parquet"))
    with pytest.raises(UnknownInput, match="no input 'wether', only: weather") as caught:
        run.inputs["wether"]
    assert caught.value.remedy == "did you mean 'weather'?"
    assert "wether" not in run.inputs


def test_a_script_that_nobody_launched_says_how_to_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLINFRA_OUTPUT", raising=False)
    with pytest.raises(MlinfraError, match="started by mlinfra"):
        training.run()


def test_metrics_are_kept_and_must_be_finite(tmp_path: Path) -> None:
    run = Run(environment(tmp_path))
    run.log_metric("auc", 0.5)
    run.log_metric("auc", np.float32(0.75))
    with pytest.raises(MlinfraError, match="metric 'loss' is nan"):
        run.log_metric("loss", float("nan"))
    assert json.loads((run.output / "metrics.json").read_text()) == {"auc": 0.75}


def test_the_baseline_holds_what_the_saved_model_predicts(tmp_path: Path) -> None:
    run = Run(environment(tmp_path))
    example = frame(20)
    model = LinearRegression().fit(example, 3 * example["x"])
    run.save_model(model, example=example)
    rows = pd.read_parquet(run.output / "baseline" / "rows.parquet")
    assert list(rows.columns) == ["x", "prediction"]
    np.testing.assert_allclose(rows["prediction"], 3 * example["x"], atol=1e-9)
    assert json.loads((run.output / "saved.json").read_text()) == {"runtime": "sklearn", "rows": 20}


def test_a_large_baseline_is_a_fixed_sample_with_its_own_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "BASELINE_ROWS", 50)
    example = frame(200).set_index(pd.Index(range(1000, 1200)))
    model = LinearRegression().fit(example, example["x"])
    kept = []
    for name in ("one", "two"):
        run = Run(environment(tmp_path / name))
        run.save_model(model, example=example, predictions=example["x"] + 0.5)
        kept.append(pd.read_parquet(run.output / "baseline" / "rows.parquet"))
    pd.testing.assert_frame_equal(kept[0], kept[1])
    assert len(kept[0]) == 50
    assert (kept[0]["prediction"] == kept[0]["x"] + 0.5).all()


def test_as_many_predictions_as_rows(tmp_path: Path) -> None:
    run = Run(environment(tmp_path))
    with pytest.raises(MlinfraError, match="2 predictions for 3 rows"):
        run.save_model(LinearRegression(), example=frame(3), predictions=[1.0, 2.0])


def test_the_import_is_light() -> None:
    code = "import sys, mlinfra.training; print([m for m in ('numpy', 'pandas', 'sklearn') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"

"""The second stack: another library, a regression, no features; nothing of it is shared with the first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stacks.diabetes_progression.data import patients
from stacks.diabetes_progression.train import INPUTS, train

SCRIPT = Path(__file__).parents[2] / "stacks" / "diabetes_progression" / "train.py"


def test_all_patients_are_read_with_named_measures() -> None:
    rows = patients()
    assert len(rows) == 442
    assert rows["patient"].is_unique
    assert set(rows.columns) == {"patient", *INPUTS, "progression"}
    assert not rows.isna().any().any()


def test_unseen_patients_are_predicted_as_well_as_claimed() -> None:
    _, seen, predictions, metrics = train(patients(), {})
    assert metrics["rmse"] < 58
    assert 0.43 < metrics["r2"] < 0.52
    assert len(seen) == len(predictions) == 442
    assert metrics["rmse"] == pytest.approx(float(np.sqrt(((predictions - patients()["progression"]) ** 2).mean())))


def test_a_patients_own_outcome_does_not_reach_the_prediction_that_is_measured() -> None:
    before = train(patients(), {})[2]
    rows = patients()
    rows["progression"] += 1_000.0 * (rows.index == 7)
    after = train(rows, {})[2]
    assert after[7] == before[7]
    assert (after != before).any()


def test_the_same_rows_in_another_order_give_the_same_model() -> None:
    model, _, _, metrics = train(patients(), {})
    again, _, _, metrics_again = train(patients().sample(frac=1.0, random_state=1), {})
    assert metrics == metrics_again
    assert model.get_booster().save_raw() == again.get_booster().save_raw()


def test_the_number_of_trees_is_a_parameter() -> None:
    assert train(patients(), {"trees": 20})[0].get_booster().num_boosted_rounds() == 20


@pytest.mark.local
def test_the_launcher_runs_the_script_unchanged(tmp_path: Path) -> None:
    rows = patients()
    rows.to_parquet(tmp_path / "patients.parquet")
    command = [sys.executable, "-m", "mlinfra.training.launcher", "--output", str(tmp_path / "out")]
    command += ["--input", f"patients={tmp_path / 'patients.parquet'}", str(SCRIPT)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    _, _, predictions, metrics = train(rows, {})
    assert (result["outcome"], result["runtime"]) == ("finished", "xgboost")
    assert result["metrics"] == pytest.approx(metrics)
    assert [column["name"] for column in result["signature"]["inputs"]] == INPUTS
    baseline = pd.read_parquet(tmp_path / "out" / "baseline" / "rows.parquet")
    np.testing.assert_allclose(baseline["prediction"], predictions)

"""The classifier: as good as claimed, the same for the same rows, and loadable without the script that made it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import joblib  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stacks.flight_delay.train import CATEGORIES, inputs_of_model, train

SCRIPT = Path(__file__).parents[2] / "stacks" / "flight_delay" / "train.py"

Trained = tuple[Pipeline, pd.DataFrame, dict[str, float]]


def trained_on(flights: pd.DataFrame, **params: object) -> Trained:
    with threadpool_limits(1):
        return train(flights, params)


@pytest.fixture(scope="module")
def trained(joined: pd.DataFrame) -> Trained:
    return trained_on(joined)


def test_held_out_days_and_april_are_predicted_as_well_as_claimed(trained: Trained) -> None:
    _, seen, metrics = trained
    assert 0.72 < metrics["auc"] < 0.76
    assert 0.68 < metrics["auc_april"] < 0.72
    assert metrics["brier"] < 0.155
    assert metrics["rows_trained"] == len(seen)
    assert metrics["rows_trained"] + metrics["rows_held_out"] == 77_911


def test_delays_of_the_last_hour_help(trained: Trained, joined: pd.DataFrame) -> None:
    _, seen, without = trained_on(joined, congestion=False)
    assert "origin_delay" not in seen.columns
    assert without["auc"] > 0.71
    assert trained[2]["auc"] > without["auc"]
    assert trained[2]["auc_april"] > without["auc_april"] + 0.03


def test_the_order_of_the_rows_does_not_matter(trained: Trained, joined: pd.DataFrame, tmp_path: Path) -> None:
    again = trained_on(joined.sample(frac=1.0, random_state=4))
    assert again[2] == trained[2]
    pd.testing.assert_frame_equal(again[1], trained[1])
    for name, model in (("first", trained[0]), ("again", again[0])):
        joblib.dump(model, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()


def test_the_held_out_days_are_not_trained_on(trained: Trained, joined: pd.DataFrame) -> None:
    local = joined["event_timestamp"].dt.tz_convert("America/New_York")
    held_out = joined[(local.dt.month <= 3) & (local.dt.dayofyear % 5 == 0)]
    assert held_out["event_timestamp"].dt.tz_convert("America/New_York").dt.weekday.nunique() == 7
    spoilt = joined.assign(late=joined["late"].where(~joined.index.isin(held_out.index), 1 - joined["late"]))
    _, _, metrics = trained_on(spoilt)
    assert metrics["auc"] == pytest.approx(1 - trained[2]["auc"])
    assert metrics["auc_april"] == trained[2]["auc_april"]


@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_values_and_unknown_airports_are_answered(trained: Trained, missing: float | None) -> None:
    model, seen, _ = trained
    row = seen.head(1).astype(object)
    for column in seen.columns:
        changed = row.copy()
        changed[column] = pd.Series([missing], index=row.index, dtype=object)
        assert 0 < model.predict_proba(changed)[0, 1] < 1
    assert 0 < model.predict_proba(row.assign(dest="ZZZ", carrier="??"))[0, 1] < 1


def test_the_model_loads_without_the_script(trained: Trained, tmp_path: Path) -> None:
    model, seen, _ = trained
    joblib.dump(model, tmp_path / "model.joblib")
    rows = seen.sample(n=50, random_state=0)
    rows[rows.columns[::-1]].assign(more=1.0).to_parquet(tmp_path / "rows.parquet")
    script = (
        "import joblib, pandas, sys\n"
        "model = joblib.load('model.joblib')\n"
        "print(model.predict_proba(pandas.read_parquet('rows.parquet'))[:, 1].tolist())\n"
        "assert not [name for name in sys.modules if name.startswith(('stacks', 'mlinfra'))]\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    np.testing.assert_array_equal(json.loads(answer.stdout), model.predict_proba(rows)[:, 1])


@pytest.mark.local
def test_the_launcher_runs_the_script_unchanged(trained: Trained, joined: pd.DataFrame, tmp_path: Path) -> None:
    joined.to_parquet(tmp_path / "flights.parquet")
    command = [sys.executable, "-m", "mlinfra.training.launcher", "--output", str(tmp_path / "out")]
    command += ["--input", f"flights={tmp_path / 'flights.parquet'}", "--param", "congestion=true", str(SCRIPT)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (result["outcome"], result["runtime"]) == ("finished", "sklearn")
    assert result["metrics"] == pytest.approx(trained[2])
    types = {column["name"]: column["type"] for column in result["signature"]["inputs"]}
    assert list(types) == inputs_of_model({})
    assert {name for name, kind in types.items() if kind == "BYTES"} == set(CATEGORIES)

"""Predict the progression of diabetes with boosted trees (xgboost). Input `patients`: the rows of data.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from sklearn.metrics import r2_score, root_mean_squared_error  # type: ignore[import-untyped]
from sklearn.model_selection import KFold, cross_val_predict  # type: ignore[import-untyped]
from xgboost import XGBRegressor

import mlinfra.training

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL = "progression"
INPUTS = [
    "age",
    "sex",
    "bmi",
    "bp",
    "total_cholesterol",
    "ldl",
    "hdl",
    "cholesterol_ratio",
    "log_triglycerides",
    "glucose",
]


def main() -> None:
    run = mlinfra.training.run()
    patients = pd.read_parquet(run.inputs["patients"])
    model, seen, unseen_predictions, metrics = train(patients, run.params)
    for name, value in metrics.items():
        run.log_metric(name, value)
    run.save_model(model, example=seen, predictions=unseen_predictions)


def train(
    patients: pd.DataFrame, params: Mapping[str, object]
) -> tuple[XGBRegressor, pd.DataFrame, pd.Series[float], dict[str, float]]:
    """Return the model, its training inputs, what models that had not seen each row predict for it, and the metrics.

    442 patients are too few to give a fifth away, and too few for one fifth to measure anything (R² then differs by
    0.1 from draw to draw). So every patient is predicted once, by a model trained on four other fifths; the metrics
    are of these predictions, and the saved model is trained on all. The same predictions are the baseline for drift:
    those of the saved model for its own training rows are closer to the labels than it will ever be again.

    Parameter `trees`: how many (300 unless given).
    """
    patients = patients.sort_values("patient", ignore_index=True)
    inputs, label = patients[INPUTS], patients[LABEL]
    model = XGBRegressor(
        n_estimators=params.get("trees", 300),
        max_depth=2,
        learning_rate=0.03,
        subsample=0.7,
        colsample_bytree=0.4,
        min_child_weight=5,
        random_state=0,
        n_jobs=1,
    )
    folds = KFold(n_splits=5, shuffle=True, random_state=0)
    predictions = pd.Series(cross_val_predict(model, inputs, label, cv=folds), dtype="float64")
    metrics = {
        "rmse": float(root_mean_squared_error(label, predictions)),
        "r2": float(r2_score(label, predictions)),
        "rows_trained": float(len(patients)),
    }
    return model.fit(inputs, label), inputs, predictions, metrics


if __name__ == "__main__":
    main()

"""Train a linear model on the patients. Plain Python: run.inputs, run.params, run.log_metric, run.save_model."""

from __future__ import annotations

import pandas as pd
from sklearn.linear_model import Ridge  # type: ignore[import-untyped]
from sklearn.metrics import r2_score  # type: ignore[import-untyped]
from sklearn.model_selection import cross_val_predict  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

import mlinfra.training


def main() -> None:
    run = mlinfra.training.run()
    patients = pd.read_parquet(run.inputs["patients"])
    inputs, label = patients.drop(columns="progression"), patients["progression"]
    model = make_pipeline(StandardScaler(), Ridge(alpha=run.params["strength"]))
    unseen = cross_val_predict(model, inputs, label, cv=5)
    run.log_metric("r2", r2_score(label, unseen))
    run.save_model(model.fit(inputs, label), example=inputs)


if __name__ == "__main__":
    main()

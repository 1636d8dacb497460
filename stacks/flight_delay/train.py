"""Train the delay classifier on January to March 2013 and measure it on days it has not seen.

Input `flights`: the rows of data.py with the weather and aircraft features that the platform joined to them as of
each flight's scheduled departure. Parameter `congestion` (true unless given): whether `origin_delay` is an input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer  # type: ignore[import-untyped]
from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]
from sklearn.metrics import brier_score_loss, roc_auc_score  # type: ignore[import-untyped]
from sklearn.pipeline import Pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import OrdinalEncoder  # type: ignore[import-untyped]

import mlinfra.training

if TYPE_CHECKING:
    from collections.abc import Mapping

CATEGORIES = ["carrier", "origin", "dest"]
SCHEDULE = ["distance", "dep_hour", "weekday"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
AIRCRAFT = ["year_built", "seats", "engines"]
CONGESTION = ["origin_delay"]

# Identifies a flight; sorting by it makes the result independent of the order in which the join returns rows.
ROW_KEY = ["event_timestamp", "origin", "carrier", "flight"]


def main() -> None:
    run = mlinfra.training.run()
    flights = pd.read_parquet(run.inputs["flights"])
    model, seen, metrics = train(flights, run.params)
    for name, value in metrics.items():
        run.log_metric(name, value)
    run.save_model(model, example=seen)


def train(flights: pd.DataFrame, params: Mapping[str, object]) -> tuple[Pipeline, pd.DataFrame, dict[str, float]]:
    """Fit on the training days; return the model, its training inputs and the metrics.

    Every fifth day is held out. Whole days, because the flights of a day share weather and queues: with single rows
    the model would be asked about mornings it knows. Days spread over the season instead of its last weeks, because
    one snowstorm more or less decides the difficulty of two weeks; five and seven share no factor, so every weekday
    is among them. What this cannot show is how the model carries into the next season: `auc_april` does, on flights
    after everything it was trained on, and is the more sober number.
    """
    flights = flights.sort_values(ROW_KEY, ignore_index=True)
    local = flights["event_timestamp"].dt.tz_convert("America/New_York")
    winter, april = local.dt.month <= 3, local.dt.month == 4
    fifth_day = local.dt.dayofyear % 5 == 0

    inputs = inputs_of_model(params)
    known, held_out, later = flights[winter & ~fifth_day], flights[winter & fifth_day], flights[april]
    model = pipeline(inputs).fit(known[inputs], known["late"])

    probability = model.predict_proba(held_out[inputs])[:, 1]
    metrics = {
        "auc": float(roc_auc_score(held_out["late"], probability)),
        "brier": float(brier_score_loss(held_out["late"], probability)),
        "auc_april": float(roc_auc_score(later["late"], model.predict_proba(later[inputs])[:, 1])),
        "late_share": float(known["late"].mean()),
        "rows_trained": float(len(known)),
        "rows_held_out": float(len(held_out)),
        "rows_april": float(len(later)),
    }
    return model, known[inputs], metrics


def inputs_of_model(params: Mapping[str, object]) -> list[str]:
    """Names of the model's inputs, in order; CATEGORIES are strings, all others float64."""
    congestion = CONGESTION if params.get("congestion", True) else []
    return CATEGORIES + SCHEDULE + WEATHER + AIRCRAFT + congestion


def pipeline(inputs: list[str]) -> Pipeline:
    """Gradient-boosted trees that take strings, missing values and airports never seen (as missing)."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    numbers = [name for name in inputs if name not in CATEGORIES]
    columns = ColumnTransformer([("codes", codes, CATEGORIES), ("numbers", "passthrough", numbers)])
    trees = HistGradientBoostingClassifier(
        categorical_features=list(range(len(CATEGORIES))),
        learning_rate=0.05,
        max_iter=200,
        max_leaf_nodes=15,
        min_samples_leaf=200,
        max_features=0.3,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=2013,
    )
    return Pipeline([("columns", columns), ("trees", trees)])


if __name__ == "__main__":
    main()

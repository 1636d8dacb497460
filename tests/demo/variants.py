"""Other models than train.py's, for `make demo`: a better one, and three that must not serve.

Parameter `variant` says which. The bad ones log a good metric, as bad models do, and so are accepted:

- `slow`: a forest of 800 trees beside the gradient-boosted ones;
- `failing`: a table of the 25 largest airports, so a flight to any other one is an error (status 500);
- `wrong`: trained, and measured, on labels that are swapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer  # type: ignore[import-untyped]
from sklearn.ensemble import RandomForestClassifier, VotingClassifier  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]
from sklearn.pipeline import Pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import FunctionTransformer  # type: ignore[import-untyped]

import mlinfra.training

if TYPE_CHECKING:
    from stacks.flight_delay.train import CATEGORIES, ROW_KEY, inputs_of_model, pipeline
else:  # it lies beside train.py when it runs
    from train import CATEGORIES, ROW_KEY, inputs_of_model, pipeline

LARGEST = 25
TREES, COPIES = 200, 4


def main() -> None:
    run = mlinfra.training.run()
    flights = pd.read_parquet(run.inputs["flights"]).sort_values(ROW_KEY, ignore_index=True)
    local = flights["event_timestamp"].dt.tz_convert("America/New_York")
    winter = flights.assign(held_out=local.dt.dayofyear % 5 == 0)[local.dt.month <= 3]
    if run.params["variant"] == "failing":
        winter = winter[winter["dest"].isin(_largest(winter))]
    if run.params["variant"] == "wrong":
        winter = winter.assign(late=1 - winter["late"])
    known, held_out = winter[~winter["held_out"]], winter[winter["held_out"]]
    inputs = inputs_of_model(run.params)
    model = _model(run.params["variant"], known, inputs)
    probability = model.predict_proba(held_out[inputs])[:, 1]
    run.log_metric("auc", roc_auc_score(held_out["late"], probability))
    run.log_metric("rows_trained", len(known))
    run.save_model(model, example=known[inputs])


def _model(variant: str, known: pd.DataFrame, inputs: list[str]) -> Pipeline:
    model = pipeline(inputs)
    if variant == "better":
        model.set_params(trees__max_iter=300)
    if variant == "failing":
        # the empty text is what the server warms up with
        codes: dict[str, float] = {name: float(code) for code, name in enumerate(_largest(known))} | {"": np.nan}
        table = FunctionTransformer(pd.DataFrame.map, kw_args={"func": codes.__getitem__})
        columns = model.named_steps["columns"].transformers
        others = [name for name in CATEGORIES if name != "dest"]
        model.set_params(
            columns=ColumnTransformer([("codes", columns[0][1], others), columns[1], ("dest", table, ["dest"])]),
            trees__categorical_features=list(range(len(others))),
        )
    model.fit(known[inputs], known["late"])
    if variant == "slow":
        model = _with_forest(model, known, inputs)
    return model


def _with_forest(model: Pipeline, known: pd.DataFrame, inputs: list[str]) -> Pipeline:
    """Return the mean of the model and a forest; a copy of each tree is as slow as another tree, and sooner trained."""
    forest: Any = RandomForestClassifier(
        TREES, max_depth=8, max_samples=2000, min_samples_leaf=20, max_features=0.3, random_state=2013
    )
    forest.fit(model.named_steps["columns"].transform(known[inputs]), known["late"])
    forest.estimators_ = forest.estimators_ * COPIES
    trees = model.named_steps["trees"]
    both: Any = VotingClassifier([("trees", trees), ("forest", forest)], voting="soft", weights=[0.9, 0.1])
    both.estimators_, both.named_estimators_ = [trees, forest], {}
    both.classes_, both.le_ = trees.classes_, _labels(known)
    return Pipeline([("columns", model.named_steps["columns"]), ("trees", both)])


def _labels(known: pd.DataFrame) -> Any:
    from sklearn.preprocessing import LabelEncoder

    return LabelEncoder().fit(known["late"])


def _largest(flights: pd.DataFrame) -> list[str]:
    return [str(name) for name in flights["dest"].value_counts().index[:LARGEST]]


if __name__ == "__main__":
    main()

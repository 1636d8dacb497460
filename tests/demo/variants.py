"""Other models than train.py's, for `make demo`: a better one, and three that must not serve.

Parameter `variant` says which. The bad ones log a good metric, as bad models do, and so are accepted:

- `slow`: waits at each request, as one does that asks another service;
- `failing`: a table of the 25 largest airports, so a flight to any other one is an error (status 500);
- `wrong`: trained, and measured, on labels that are swapped.
"""

from __future__ import annotations

import time
from operator import methodcaller
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]
from sklearn.pipeline import Pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import FunctionTransformer  # type: ignore[import-untyped]

import mlinfra.training

if TYPE_CHECKING:
    from stacks.flight_delay.train import CATEGORIES, ROW_KEY, inputs_of_model, pipeline
else:  # it lies beside train.py when it runs
    from train import CATEGORIES, ROW_KEY, inputs_of_model, pipeline

LARGEST = 25
SOON, FEW_TREES, ROWS = ("slow", "failing", "wrong"), 80, 30_000
"""The bad models are trained soon, and accepted all the same."""
SECONDS = 0.2


def main() -> None:
    run = mlinfra.training.run()
    flights = pd.read_parquet(run.inputs["flights"]).sort_values(ROW_KEY, ignore_index=True)
    local = flights["event_timestamp"].dt.tz_convert("America/New_York")
    winter = flights.assign(held_out=local.dt.dayofyear % 5 == 0)[local.dt.month <= 3]
    if run.params["variant"] == "failing":
        winter = winter[winter["dest"].isin(_largest(winter))]
    if run.params["variant"] == "wrong":
        winter = winter.assign(late=1 - winter["late"])
    if run.params["variant"] in SOON:
        winter = winter.sample(ROWS, random_state=2013)
    known, held_out = winter[~winter["held_out"]], winter[winter["held_out"]]
    inputs = inputs_of_model(run.params)
    model = _model(run.params["variant"], known, inputs)
    probability = model.predict_proba(held_out[inputs])[:, 1]
    run.log_metric("auc", roc_auc_score(held_out["late"], probability))
    run.log_metric("rows_trained", len(known))
    run.save_model(model, example=known[inputs])


def _model(variant: str, known: pd.DataFrame, inputs: list[str]) -> Pipeline:
    model = pipeline(inputs)
    model.set_params(trees__max_iter=FEW_TREES if variant in SOON else 220)
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
    if variant == "slow":
        columns = model.named_steps["columns"].transformers
        model.set_params(columns=ColumnTransformer([*columns, ("asked", _asking_elsewhere(), ["visib"])]))
    return model.fit(known[inputs], known["late"])


def _asking_elsewhere() -> Pipeline:
    """Return a column that takes `SECONDS` at each call, and always says the same.

    What a model is made of must be there where it is served, so it is made of pandas' own methods: the first of all
    rows is multiplied with the seconds, and slept for.
    """
    calls = [methodcaller("isin", []), methodcaller("eq", False), methodcaller("cumsum"), methodcaller("eq", 1)]
    calls += [methodcaller("mul", SECONDS), methodcaller("map", time.sleep), methodcaller("isna")]
    return Pipeline([(f"call{number}", FunctionTransformer(call)) for number, call in enumerate(calls)])


def _largest(flights: pd.DataFrame) -> list[str]:
    return [str(name) for name in flights["dest"].value_counts().index[:LARGEST]]


if __name__ == "__main__":
    main()

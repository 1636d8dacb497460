"""The xgboost runtime: `model.ubj`, xgboost's own format, which is data and not code."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra_serving.runtimes import Predict
from mlinfra_serving.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

MODEL_FILE = "model.ubj"


def save(model: Any, folder: Path) -> list[str]:
    """Write `model.ubj` of a booster or an estimator and return the installed version of xgboost."""
    model.save_model(folder / MODEL_FILE)
    return [f"xgboost=={metadata.version('xgboost')}"]


def load(folder: Path, signature: Signature) -> Predict:
    """Read `model.ubj`; text inputs become the categories of training, and text that was not among them a null.

    The booster alone gives the probability of the positive class for `binary:logistic`, and the values of a
    regression; the class of a multi-class model is the one of the highest probability, as its estimator's
    `predict` gives it.

    Raises:
        xgboost.core.XGBoostError: there is no such file, or it is not a model.
    """
    import numpy as np
    import xgboost

    booster = xgboost.Booster(model_file=folder / MODEL_FILE)
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    text = _categories(booster, [entry["name"] for entry in signature["inputs"] if entry["type"] == "BYTES"])
    best = _trees_to_use(booster)

    def predict(frame: pd.DataFrame) -> Any:
        data = xgboost.DMatrix(frame.astype(text), enable_categorical=bool(text), nthread=1)
        result = booster.predict(data, iteration_range=best)
        return np.argmax(result, axis=1) if objective == "multi:softprob" else result

    return predict


def _categories(booster: Any, names: list[str]) -> dict[str, pd.CategoricalDtype]:
    """Return the type of each text input: one row alone does not tell the categories, and their codes."""
    import pandas as pd

    if not names:
        return {}
    known = dict(booster.get_categories(export_to_arrow=True).to_arrow())
    return {name: pd.CategoricalDtype(known[name].to_pylist()) for name in names}


def _trees_to_use(booster: Any) -> tuple[int, int]:
    """Return the range of rounds that predict uses: up to the best one after early stopping, else all."""
    stopped_at = booster.attr("best_iteration")
    return (0, 0) if stopped_at is None else (0, int(stopped_at) + 1)

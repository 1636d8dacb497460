"""Quality against labels that arrived later: how good a release's predictions were, and whether it is worse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlinfra.rollout.samples import ReleaseSamples
from mlinfra.rollout.significance import auc_with_variance, larger_mean, smaller_auc

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_OF_A_CLASS = 10
"""Outcomes of each class that an area under the ROC curve needs: with fewer its variance is a guess."""

_LEAST = 2


def quality(metric: str, release: ReleaseSamples) -> tuple[float | None, str]:
    """Return a metric of a release's labelled requests, or None and why there is none."""
    predicted, true = _arrays(release)
    if why := _cannot(metric, predicted, true):
        return None, why
    if metric == "auc":
        return auc_with_variance(predicted, true == 1)[0], ""
    mean = float(_of_each(metric, predicted, true).mean())
    if not math.isfinite(mean):
        return None, "the errors are too large to be a number"
    return {"accuracy": 1 - mean, "rmse": math.sqrt(mean)}.get(metric, mean), ""


def worse(metric: str, new: ReleaseSamples, old: ReleaseSamples, factor: float) -> float:
    """Return the probability of what `new` shows if it were just `factor` times what `old` is; `quality` knows both.

    Areas under the ROC curve are compared by DeLong's test; the others are means of a number of each request
    (whether it is wrong, its squared error), compared by Welch's.
    """
    of_new, of_old = _arrays(new), _arrays(old)
    if metric == "auc":
        areas = [auc_with_variance(predicted, true == 1) for predicted, true in (of_new, of_old)]
        return smaller_auc(areas[0], areas[1], factor)
    each_new, each_old = _of_each(metric, *of_new), _of_each(metric, *of_old)
    if metric == "accuracy":
        return larger_mean(-(1 - each_new), -(1 - each_old), factor)
    return larger_mean(each_new, each_old, factor**2 if metric == "rmse" else factor)


def _cannot(metric: str, predicted: Floats, true: Floats) -> str:
    """Return why a metric cannot be told from these predictions and labels, or an empty text."""
    import numpy as np

    for name, values in (("prediction", predicted), ("label", true)):
        if bad := int((~np.isfinite(values)).sum()):
            return f"{bad} {name}{'s are not numbers' if bad > 1 else ' is not a number'}"
    if len(predicted) != len(true) or len(true) < _LEAST:
        return f"{len(true)} labels for {len(predicted)} predictions"
    if metric in ("auc", "brier") and not np.isin(true, (0, 1)).all():
        return f"{metric} needs labels that are 0 or 1"
    if metric == "brier" and (predicted.min() < 0 or predicted.max() > 1):
        return "brier needs predictions that are probabilities"
    if metric == "auc":
        fewest = int(min(true.sum(), (1 - true).sum()))
        if fewest < LEAST_OF_A_CLASS:
            rarer = 1 if true.sum() <= (1 - true).sum() else 0
            return f"{fewest} of {LEAST_OF_A_CLASS} outcomes are {rarer}"
    return ""


def _of_each(metric: str, predicted: Floats, true: Floats) -> Floats:
    import numpy as np

    if metric in ("brier", "rmse"):
        with np.errstate(over="ignore"):
            return np.asarray((predicted - true) ** 2, dtype=np.float64)
    probabilities = np.isin(true, (0, 1)).all() and predicted.min() >= 0 and predicted.max() <= 1
    wrong = ((predicted >= 0.5) != (true == 1)) if probabilities else predicted != true
    return np.asarray(wrong, dtype=np.float64)


def _arrays(release: ReleaseSamples) -> tuple[Floats, Floats]:
    import numpy as np

    predictions, labels = release.predictions, release.labels
    return (
        np.asarray(() if predictions is None else predictions, dtype=np.float64),
        np.asarray(() if labels is None else labels, dtype=np.float64),
    )

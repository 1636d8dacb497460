"""The noise floor: what each measure would show for a window of this size with no drift at all.

Baseline and window are both redrawn from the baseline's own distribution, many times, and measured against each
other; the floor is the 95th percentile. The baseline is redrawn too because its rows are a sample as well: against
a baseline of the window's own size, a floor that kept it fixed would be exceeded by a third to a half of all windows
without drift, and not by the twentieth that a 95th percentile promises.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np

from mlinfra_serving.drift.measures import MEASURES, Floats, MeasureName
from mlinfra_serving.drift.profile import Profile

DRAWS = 500
PERCENTILE = 95.0
LEVELS = 1000

Floor = Mapping[str, Mapping[MeasureName, float]]


def noise_floor(profile: Profile, rows: int, *, seed: int = 0, draws: int = DRAWS) -> Floor:
    """Return the floor of every measure by column, for windows of `rows` rows.

    The same arguments give the same floor; a column's floor does not depend on the other columns. With no rows
    every floor is infinite: noise alone could show anything.

    Source: the parametric bootstrap of B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, §16.
    """
    if rows == 0:
        return {name: dict.fromkeys(MEASURES, math.inf) for name in profile.columns}
    process = _uniform_process(profile.rows, rows, seed, draws)
    floors: dict[str, dict[MeasureName, float]] = {}
    for name, column in profile.columns.items():
        baseline = column.baseline()
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        probabilities = baseline.counts / baseline.counts.sum()
        first = generator.multinomial(profile.rows, probabilities, size=draws)
        second = generator.multinomial(rows, probabilities, size=draws)
        floor = {
            measure: _percentile(details.of(first, second))
            for measure, details in MEASURES.items()
            if details.of is not None
        }
        if baseline.cdf is not None:
            levels = np.unique(np.rint(baseline.cdf * LEVELS).astype(np.int64))
            floor["ks"] = _percentile(np.abs(process[:, levels]).max(axis=1))
        floors[name] = floor
    return floors


def rows_needed(measure: MeasureName, floor: float, limit: float, rows: int, baseline_rows: int) -> int | None:
    """Return about how many rows bring the floor down to `limit`, from the floor at `rows` rows.

    None: no window is large enough, because of the baseline's own noise. With both sides resampled, distances
    and Cramér's V shrink with √(1/n + 1/m), divergences and PSI with 1/n + 1/m.
    """
    if limit <= 0:
        return None
    power = 1 if measure in {"js_divergence", "psi"} else 2
    left = (1 / rows + 1 / baseline_rows) * (limit / floor) ** power - 1 / baseline_rows
    if left <= 0:
        return None
    needed = 1 / left
    step = int(10 ** max(math.floor(math.log10(max(needed, 1))) - 1, 0))
    return int(math.ceil(needed / step) * step)


def _uniform_process(baseline_rows: int, rows: int, seed: int, draws: int) -> Floats:
    """Return the difference of the distribution functions of two uniform samples; shape [draws, LEVELS + 1].

    The Kolmogorov-Smirnov statistic depends on a column only through the levels that its distribution function
    takes, so one set of samples serves every column.
    """
    generator = np.random.default_rng([seed, LEVELS])
    cells = np.full(LEVELS, 1 / LEVELS)
    first = generator.multinomial(baseline_rows, cells, size=draws).cumsum(axis=1) / baseline_rows
    second = generator.multinomial(rows, cells, size=draws).cumsum(axis=1) / rows
    return np.pad(first - second, ((0, 0), (1, 0)))


def _percentile(values: Floats) -> float:
    return float(np.percentile(values, PERCENTILE))

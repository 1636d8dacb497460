"""A window of requests against a baseline's profile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlinfra_serving.drift.floor import noise_floor, rows_needed
from mlinfra_serving.drift.measures import MEASURES, MeasureName, chi_squared_p_value, ks, shares
from mlinfra_serving.drift.profile import CategoricalColumn, Column, Counted, Profile
from mlinfra_serving.drift.result import (
    DEFAULT_MEASURE,
    Bar,
    ColumnResult,
    Measured,
    Result,
    Threshold,
    Verdict,
    check_thresholds,
)

PLOTTED_CATEGORIES = 12


def compare(profile: Profile, frame: pd.DataFrame, thresholds: Mapping[str, Threshold], *, seed: int = 0) -> Result:
    """Return how far a window of shape [rows, columns] is from a baseline; the same arguments give the same result.

    A column drifts when its measure breaks its threshold. Where noise alone would break it (the floor at this many
    rows does), the verdict is "no data", never ok and never drift. Columns without a threshold are measured and do
    not decide.

    Raises:
        MlinfraError: a threshold for a column or a measure that the baseline does not have.
    """
    check_thresholds(profile, thresholds)
    rows = len(frame)
    floors = noise_floor(profile, rows, seed=seed)
    columns = []
    for name, column in profile.columns.items():
        window = column.count(frame[name]) if name in frame.columns and rows else None
        threshold = thresholds.get(name)
        measures = _measures(column.baseline(), window, floors[name])
        measure = threshold.metric if threshold else DEFAULT_MEASURE
        measured = measures[measure]
        verdict, note, needed = _judge(threshold, measured, rows, profile.rows)
        columns.append(
            ColumnResult(
                column=name,
                type=column.type,
                measure=measure,
                measures=measures,
                p_value=_p_value(column.baseline(), window),
                threshold=threshold,
                verdict=verdict,
                rows=rows if window is not None else 0,
                rows_needed=needed,
                note=note,
                bars=_bars(column, window),
            )
        )
    unknown = [str(name) for name in frame.columns if name not in profile.columns]
    return Result(rows=rows, baseline_rows=profile.rows, seed=seed, columns=columns, unknown=unknown)


def _measures(
    baseline: Counted, window: Counted | None, floor: Mapping[MeasureName, float]
) -> dict[MeasureName, Measured]:
    measured: dict[MeasureName, Measured] = {}
    for name, details in MEASURES.items():
        value = None
        if window is not None and details.of is not None:
            value = float(details.of(baseline.counts, window.counts))
        elif window is not None and baseline.cdf is not None and window.cdf is not None:
            value = float(ks(baseline.cdf, window.cdf))
        least = floor.get(name, math.inf)
        measured[name] = Measured(value, least if math.isfinite(least) else None)
    return measured


def _judge(
    threshold: Threshold | None, measured: Measured, rows: int, baseline_rows: int
) -> tuple[Verdict | None, str, int | None]:
    if threshold is None:
        return None, "", None
    if rows == 0:
        return "no data", "no requests in the window", None
    if measured.value is None or measured.floor is None:
        return "no data", "not among the captured columns", None
    if not threshold.holds(measured.floor):
        needed = rows_needed(threshold.metric, measured.floor, threshold.value, rows, baseline_rows)
        enough = f"about {needed:,} rows would do" if needed else "no window of this baseline is large enough"
        reason = f"noise alone reaches {measured.floor:.3g} at {rows:,} rows, beyond the threshold"
        return "no data", f"{reason}; {enough}", needed
    return "ok" if threshold.holds(measured.value) else "drift", "", None


def _p_value(baseline: Counted, window: Counted | None) -> float | None:
    return None if window is None else float(chi_squared_p_value(baseline.counts, window.counts))


def _bars(column: Column, window: Counted | None) -> list[Bar]:
    """Return the bins to plot: those that are empty on both sides left out, rare categories put together."""
    labels: list[Any] = column.labels()
    before = shares(column.baseline().counts)
    after = shares(window.counts) if window is not None else None
    largest = before if after is None else np.maximum(before, after)
    together = -1
    if isinstance(column, CategoricalColumn) and len(column.categories) > PLOTTED_CATEGORIES:
        names = len(column.categories)
        shown = np.sort(np.argsort(-largest[:names], kind="stable")[:PLOTTED_CATEGORIES])
        rest = np.setdiff1d(np.arange(names + 1), shown)
        together = len(shown)
        labels = [*(labels[i] for i in shown), f"{len(rest) - 1} more and other", "null"]
        before = np.concatenate([before[shown], [before[rest].sum()], before[-1:]])
        if after is not None:
            after = np.concatenate([after[shown], [after[rest].sum()], after[-1:]])
    bars = [
        Bar(label, float(before[i]), None if after is None else float(after[i]), together=i == together)
        for i, label in enumerate(labels)
    ]
    return [bar for bar in bars if bar.baseline > 0 or bar.window]

"""Real weather: summer is not winter, and winter is winter."""

from __future__ import annotations

import pandas as pd
import pytest

from mlinfra_serving.drift import Profile, Threshold, build_profile, compare
from mlinfra_serving.drift.measures import MeasureName

THRESHOLDS = {
    "temp": Threshold("js_divergence", "<=", 0.1),
    "dewp": Threshold("js_divergence", "<=", 0.1),
    "wind_speed": Threshold("ks", "<=", 0.1),
    "wind_gust": Threshold("js_distance", "<=", 0.2),
    "precip": Threshold("psi", "<=", 0.1),
    "origin": Threshold("linf", "<=", 0.1),
}


@pytest.fixture(scope="module")
def baseline(winter: pd.DataFrame) -> Profile:
    return build_profile(winter)


def value(baseline: Profile, window: pd.DataFrame, column: str, measure: MeasureName = "js_distance") -> float:
    result = compare(baseline, window, {})
    found = next(one for one in result.columns if one.column == column).measures[measure].value
    assert found is not None
    return found


def test_july_drifts(baseline: Profile, july: pd.DataFrame) -> None:
    result = compare(baseline, july, THRESHOLDS)
    assert result.verdict == "drift"
    verdicts = {column.column: column.verdict for column in result.columns if column.verdict}
    assert verdicts == {
        "temp": "drift",
        "dewp": "drift",
        "wind_speed": "drift",
        "wind_gust": "drift",
        "precip": "ok",
        "origin": "ok",
    }


@pytest.mark.parametrize(
    ("column", "distance"),
    [
        ("temp", 0.858), ("dewp", 0.862), ("pressure", 0.312), ("wind_gust", 0.277),
        ("wind_speed", 0.268), ("humid", 0.244), ("precip", 0.071), ("origin", 0.001),
    ],
)  # fmt: skip
def test_july_distances(baseline: Profile, july: pd.DataFrame, column: str, distance: float) -> None:
    assert value(baseline, july, column) == pytest.approx(distance, abs=0.005)


def test_gusts_that_are_not_reported_count(baseline: Profile, winter: pd.DataFrame, july: pd.DataFrame) -> None:
    """Nine of ten July hours have no gust (winter: seven): without a bin for nulls the rest looks far more changed."""
    gusts = [frame[["wind_gust"]].dropna() for frame in (winter, july)]
    assert value(build_profile(gusts[0]), gusts[1], "wind_gust") > 0.4 > value(baseline, july, "wind_gust")


@pytest.mark.parametrize("seed", range(10))
def test_resamples_of_winter_do_not_drift(baseline: Profile, winter: pd.DataFrame, seed: int) -> None:
    window = winter.sample(n=2000, replace=True, random_state=seed)
    result = compare(baseline, window, THRESHOLDS, seed=seed)
    assert result.verdict == "ok"
    assert {column.verdict for column in result.columns} == {"ok", None}


def test_one_afternoon_decides_nothing(baseline: Profile, july: pd.DataFrame) -> None:
    result = compare(baseline, july.head(12), THRESHOLDS)
    assert result.verdict == "no data"
    assert "drift" not in {column.verdict for column in result.columns}

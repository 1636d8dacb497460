"""The noise floor is what a window without drift shows, and small windows decide nothing."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mlinfra.problems import MlinfraError
from mlinfra_serving.drift import Profile, Threshold, build_profile, compare, parse_thresholds
from mlinfra_serving.drift.floor import noise_floor, rows_needed
from mlinfra_serving.drift.measures import MEASURES, MeasureName, ks

DRIFT_MEASURES: list[MeasureName] = [name for name in MEASURES if name != "chi_squared"]


def population(generator: np.random.Generator, rows: int, shift: float = 0.0) -> pd.DataFrame:
    numbers = generator.normal(shift, size=rows)
    return pd.DataFrame(
        {
            "number": numbers,
            "rain": np.where(generator.random(rows) < 0.9, 0.0, generator.exponential(size=rows)),
            "gust": np.where(generator.random(rows) < 0.7, np.nan, numbers),
            "name": generator.choice([f"n{i}" for i in range(30)], rows),
        }
    )


@pytest.fixture(scope="module")
def profile() -> Profile:
    return build_profile(population(np.random.default_rng(0), 20_000))


@pytest.mark.parametrize("baseline_rows", [1000, 20_000])
def test_a_twentieth_of_the_windows_without_drift_is_above_the_floor(baseline_rows: int) -> None:
    """Also when the baseline is no larger than the window, so that its own noise counts."""
    generator = np.random.default_rng(11)
    above: dict[str, list[bool]] = {name: [] for name in MEASURES}
    for _ in range(10):
        profile = build_profile(population(generator, baseline_rows))
        floor = noise_floor(profile, 1000)
        for window in (population(generator, 1000) for _ in range(20)):
            for column_name, column in profile.columns.items():
                before, after = column.baseline(), column.count(window[column_name])
                for measure, details in MEASURES.items():
                    if details.of is not None:
                        above[measure].append(
                            float(details.of(before.counts, after.counts)) > floor[column_name][measure]
                        )
                    elif before.cdf is not None and after.cdf is not None:
                        above[measure].append(float(ks(before.cdf, after.cdf)) > floor[column_name][measure])
    for name, exceeded in above.items():
        assert 0.01 < np.mean(exceeded) < 0.12, (name, np.mean(exceeded))


def test_the_floor_falls_as_the_window_grows(profile: Profile) -> None:
    floors = [noise_floor(profile, rows) for rows in (100, 1000, 10_000)]
    for name in profile.columns:
        for measure in floors[0][name]:
            if measure != "chi_squared":
                small, middle, large = (floor[name][measure] for floor in floors)
                assert small > middle > large > 0, (name, measure)


def test_the_same_seed_gives_the_same_result(profile: Profile) -> None:
    window = population(np.random.default_rng(5), 500)
    assert compare(profile, window, {}, seed=4).to_json() == compare(profile, window, {}, seed=4).to_json()
    assert noise_floor(profile, 500, seed=4) != noise_floor(profile, 500, seed=5)


def test_the_floor_of_a_column_does_not_depend_on_the_others(profile: Profile) -> None:
    alone = Profile(profile.rows, {"gust": profile.columns["gust"]})
    assert noise_floor(alone, 700)["gust"] == noise_floor(profile, 700)["gust"]


@pytest.mark.parametrize("measure", DRIFT_MEASURES)
def test_a_window_that_noise_alone_could_fill_decides_nothing(profile: Profile, measure: MeasureName) -> None:
    threshold = noise_floor(profile, 2000)["number"][measure]
    thresholds = {"number": Threshold(measure, "<=", threshold)}
    for shift in (0.0, 5.0):
        small = compare(profile, population(np.random.default_rng(7), 20, shift), thresholds)
        assert small.verdict == "no data"
        column = small.columns[0]
        assert column.verdict == "no data"
        assert "noise alone reaches" in column.note
    large = population(np.random.default_rng(7), 4000, 5.0)
    assert compare(profile, large, thresholds).verdict == "drift"


@pytest.mark.parametrize("measure", DRIFT_MEASURES)
def test_the_rows_that_are_said_to_be_needed_are_about_enough(profile: Profile, measure: MeasureName) -> None:
    small, large = noise_floor(profile, 500), noise_floor(profile, 3000)
    for name in profile.columns:
        limit = large[name].get(measure)
        if limit is None:
            continue
        needed = rows_needed(measure, small[name][measure], limit, 500, profile.rows)
        assert needed is not None
        assert 2000 < needed < 5000, (name, needed)


def test_no_window_is_large_enough_for_a_small_baseline() -> None:
    profile = build_profile(population(np.random.default_rng(0), 50))
    result = compare(
        profile, population(np.random.default_rng(1), 5000), {"name": Threshold("js_divergence", "<=", 0.01)}
    )
    assert result.verdict == "no data"
    assert result.columns[3].rows_needed is None
    assert "no window of this baseline is large enough" in result.columns[3].note


def test_an_empty_window_is_no_data(profile: Profile) -> None:
    result = compare(profile, population(np.random.default_rng(0), 0), {"number": Threshold("ks", "<=", 0.1)})
    assert result.verdict == "no data"
    assert result.columns[0].note == "no requests in the window"
    assert compare(profile, pd.DataFrame(), {}).verdict == "no data"
    assert math.isinf(noise_floor(profile, 0)["number"]["ks"])


def test_a_column_that_was_not_captured_is_no_data(profile: Profile) -> None:
    window = population(np.random.default_rng(0), 5000).drop(columns="gust").assign(extra=1)
    thresholds = {"gust": Threshold("linf", "<=", 0.2), "number": Threshold("ks", "<=", 0.1)}
    result = compare(profile, window, thresholds)
    assert result.verdict == "no data"
    assert [column.verdict for column in result.columns] == ["ok", None, "no data", None]
    assert result.unknown == ["extra"]


def test_drift_outweighs_no_data(profile: Profile) -> None:
    window = population(np.random.default_rng(0), 5000, 5.0).drop(columns="rain")
    thresholds = {"rain": Threshold("linf", "<=", 0.2), "number": Threshold("ks", "<=", 0.1)}
    assert compare(profile, window, thresholds).verdict == "drift"


def test_columns_without_a_threshold_do_not_decide(profile: Profile) -> None:
    window = population(np.random.default_rng(0), 5000, 5.0)
    result = compare(profile, window, {"name": Threshold("linf", "<=", 0.1)})
    assert result.verdict == "ok"
    number = result.columns[0]
    assert number.verdict is None
    assert number.value is not None
    assert number.value > 0.5


def test_verdicts_and_values_grow_with_the_shift(profile: Profile) -> None:
    thresholds = {"number": Threshold("js_distance", "<=", 0.2)}
    results = [
        compare(profile, population(np.random.default_rng(2), 5000, shift), thresholds) for shift in (0, 0.3, 1, 3)
    ]
    values = [result.columns[0].value or 0.0 for result in results]
    assert values == sorted(values)
    assert [result.verdict for result in results] == ["ok", "ok", "drift", "drift"]


def test_thresholds_that_do_not_fit_are_all_named(profile: Profile) -> None:
    thresholds = {"nunber": Threshold("ks", "<=", 0.1), "name": Threshold("ks", "<=", 0.1)}
    with pytest.raises(MlinfraError) as caught:
        compare(profile, pd.DataFrame(), thresholds)
    assert "did you mean 'number'?" in caught.value.message
    assert "name: ks needs an order" in caught.value.message


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        ({"measure": "ks", "operator": "<=", "value": 0.1}, "exactly metric, operator and value"),
        ({"metric": "ks", "operator": "<=", "value": 0.1, "more": 1}, "exactly metric, operator and value"),
        ({"metric": "kl", "operator": "<=", "value": 0.1}, "unknown measure 'kl'"),
        ({"metric": "chi_squared", "operator": "<=", "value": 0.1}, "use cramers_v"),
        ({"metric": "ks", "operator": ">=", "value": 0.1}, "a limit is <="),
        ({"metric": "ks", "operator": "<=", "value": -0.1}, "not a number of 0 or more"),
        ({"metric": "ks", "operator": "<=", "value": True}, "not a number of 0 or more"),
        ({"metric": "ks", "operator": "<=", "value": float("nan")}, "not a number of 0 or more"),
        ("ks <= 0.1", "exactly metric, operator and value"),
    ],
)
def test_thresholds_that_cannot_be_used_are_refused(check: object, reason: str) -> None:
    with pytest.raises(MlinfraError, match="temp: ") as caught:
        parse_thresholds({"temp": check})
    assert reason in caught.value.message


def test_thresholds_are_read() -> None:
    read = parse_thresholds({"temp": {"metric": "psi", "operator": "<=", "value": 1}})
    assert read == {"temp": Threshold("psi", "<=", 1.0)}
    with pytest.raises(MlinfraError, match="JSON object by column"):
        parse_thresholds([])

"""A profile keeps what every measure needs, through JSON, without the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp  # type: ignore[import-untyped]

from mlinfra.problems import MlinfraError
from mlinfra_serving.drift import Profile, build_profile, compare, read_baseline
from mlinfra_serving.drift.measures import MeasureName, ks
from mlinfra_serving.drift.profile import CategoricalColumn, NumericColumn

examples = settings(deadline=None, max_examples=60)

NUMBERS = st.lists(
    st.one_of(st.just(0.0), st.none(), st.floats(width=32), st.integers(-5, 5).map(float)), min_size=1, max_size=60
)


def numeric(values: Any, **options: int) -> NumericColumn:
    column = build_profile(pd.DataFrame({"x": pd.Series(values, dtype=float)}), **options).columns["x"]
    assert isinstance(column, NumericColumn)
    return column


def measured(baseline: Any, window: Any, measure: MeasureName = "js_distance") -> float:
    result = compare(build_profile(pd.DataFrame({"x": baseline})), pd.DataFrame({"x": window}), {})
    value = result.columns[0].measures[measure].value
    assert value is not None
    return value


@examples
@given(NUMBERS, NUMBERS)
def test_every_row_is_in_exactly_one_bin(baseline: list[float | None], window: list[float | None]) -> None:
    column = numeric(baseline)
    own, other = column.baseline(), column.count(pd.Series(window, dtype=float))
    assert own.counts.sum() == len(baseline)
    assert other.counts.sum() == len(window)
    assert own.counts[-1] == sum(value is None or value != value for value in baseline)
    assert len(column.labels()) == len(own.counts) == len(other.counts)
    again = column.count(pd.Series(baseline, dtype=float))
    assert again.counts.tolist() == own.counts.tolist()
    assert again.cdf is not None
    assert own.cdf is not None
    assert again.cdf.tolist() == own.cdf.tolist()


@settings(deadline=None, max_examples=25)
@given(NUMBERS, st.lists(st.one_of(st.none(), st.text(max_size=3), st.booleans()), min_size=1, max_size=30))
def test_json_round_trip_measures_the_same(numbers: list[float | None], names: list[str | bool | None]) -> None:
    length = min(len(numbers), len(names))
    frame = pd.DataFrame({"n": pd.Series(numbers[:length], dtype=float), "c": pd.Series(names[:length], dtype=object)})
    profile = build_profile(frame)
    text = json.dumps(profile.to_json(), allow_nan=False)
    back = Profile.from_json(json.loads(text))
    assert json.dumps(back.to_json()) == text
    window = frame.iloc[::-1].head(20)
    assert compare(back, window, {}).to_json() == compare(profile, window, {}).to_json()


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@examples
@given(NUMBERS, NUMBERS)
def test_kolmogorov_smirnov_equals_scipy_with_nulls_below_every_number(
    baseline: list[float | None], window: list[float | None]
) -> None:
    column = numeric(baseline)
    own, other = column.baseline(), column.count(pd.Series(window, dtype=float))
    assert own.cdf is not None
    assert other.cdf is not None
    sides = [pd.Series(side, dtype=float).clip(-1e308, 1e308).fillna(-np.inf) for side in (baseline, window)]
    expected = ks_2samp(*sides, method="asymp").statistic
    assert float(ks(own.cdf, other.cdf)) == pytest.approx(expected, abs=1e-12)


@examples
@given(st.integers(0, 2**32 - 1), st.floats(-1, 1), st.sampled_from([20, 100, 1000]))
def test_kolmogorov_smirnov_on_a_grid_errs_by_less_than_it_says(seed: int, shift: float, grid: int) -> None:
    generator = np.random.default_rng(seed)
    baseline, window = generator.normal(size=5000), generator.normal(shift, size=3000)
    column = numeric(baseline, grid=grid)
    own, other = column.baseline(), column.count(pd.Series(window))
    assert len(column.grid_values) <= grid + 1
    assert own.cdf is not None
    assert other.cdf is not None
    value, exact = float(ks(own.cdf, other.cdf)), float(ks_2samp(baseline, window, method="asymp").statistic)
    assert value <= exact + 1e-12
    assert exact - value <= 1 / grid


def test_bins_are_deciles() -> None:
    column = numeric(np.arange(1000))
    assert column.counts.tolist() == [100] * 10
    assert column.edges.tolist() == [100 * i for i in range(1, 10)]
    # closed on the left: an edge belongs to the bin above it
    assert column.count(pd.Series([99.0, 100.0])).counts.tolist()[:2] == [1, 1]


def test_a_column_that_is_mostly_zero_keeps_zeros_apart() -> None:
    rain = np.where(np.arange(1000) < 930, 0.0, np.arange(1000) / 1000)
    column = numeric(rain)
    assert column.labels() == ["below 0", "0", "over 0", "null"]
    assert column.counts.tolist() == [0, 930, 70]
    assert measured(rain, np.where(np.arange(1000) < 500, 0.0, 0.99)) > 0.3
    assert measured(rain, np.zeros(1000)) > 0.1
    assert measured(rain, np.full(1000, -1.0)) == pytest.approx(1)


def test_labels_say_where_a_bin_begins_and_ends() -> None:
    values = [0.0] * 40 + [10.0] * 30 + [float(i) for i in range(20, 50)]
    assert numeric(values, bins=4).labels() == [
        "below 0",
        "0",
        "over 0 to 10",
        "10",
        "over 10 to 25",
        "25 and more",
        "null",
    ]
    assert numeric([None, None]).labels() == ["any number", "null"]


def test_nulls_are_a_bin_of_their_own() -> None:
    gusts = np.where(np.arange(1000) % 10 < 7, np.nan, 20.0 + np.arange(1000) % 10)
    assert measured(gusts, gusts[:500]) == pytest.approx(0, abs=1e-6)
    assert measured(gusts, np.full(500, np.nan)) > 0.3
    assert measured(gusts, gusts[~np.isnan(gusts)]) > 0.5
    assert measured(gusts, np.full(500, np.nan), "ks") == pytest.approx(0.3)
    assert measured(["a", None] * 50, ["a"] * 100) > 0.5


def test_a_column_without_one_number_is_measured() -> None:
    nothing = np.full(100, np.nan)
    assert measured(nothing, nothing) == 0
    assert measured(nothing, np.arange(100.0)) == pytest.approx(1)
    assert measured(nothing, np.arange(100.0), "ks") == pytest.approx(1)


def test_infinite_numbers_stay_in_the_outermost_bins() -> None:
    values = [-np.inf, *np.arange(100.0), np.inf]
    column = numeric(values)
    assert column.counts.sum() == 102
    assert np.isfinite(column.grid_values).all()
    assert np.isfinite(numeric([np.inf] * 5 + [-np.inf] * 5).edges).all()


def test_categories_beyond_the_cap_share_a_bin() -> None:
    names = [f"c{i}" for i in range(50) for _ in range(i + 1)]
    profile = build_profile(pd.DataFrame({"x": names}), categories=10)
    column = profile.columns["x"]
    assert isinstance(column, CategoricalColumn)
    assert list(column.categories) == [f"c{i}" for i in range(49, 39, -1)]
    assert sum(column.categories.values()) + column.other == len(names)
    counts = column.count(pd.Series(["c49", "c3", "never seen", None])).counts
    assert counts.tolist() == [1, *[0] * 9, 2, 1]


def test_the_order_of_rows_does_not_matter() -> None:
    frame = pd.DataFrame({"c": list("abcabc"), "n": range(6)})
    assert build_profile(frame).to_json() == build_profile(frame.iloc[::-1]).to_json()


@pytest.mark.parametrize(
    ("baseline", "window"),
    [
        ([1, 2, 3] * 40, [1.0, 2.0, 3.0] * 40),
        ([True, False] * 60, pd.Series(["true", "false"] * 60)),
        (pd.Series([1, 2] * 60, dtype="Int64"), [1.0, 2.0] * 60),
        (pd.Series(list("ab") * 60, dtype="category"), list("ab") * 60),
        (pd.Series([1, 2] * 60, dtype="category"), [1.0, 2.0] * 60),
        (pd.Series([0.5, 1.5] * 60, dtype="float32"), [0.5, 1.5] * 60),
        (pd.Series([True, None] * 60, dtype=object), pd.Series([True, None] * 60, dtype="boolean")),
        ([1.0, 2.0] * 60, ["1", "2"] * 60),
    ],
)
def test_the_same_rows_in_another_type_do_not_drift(baseline: Any, window: Any) -> None:
    assert measured(baseline, window) == pytest.approx(0, abs=1e-9)


def test_times_are_refused() -> None:
    with pytest.raises(MlinfraError, match="'t' of the baseline holds times"):
        build_profile(pd.DataFrame({"t": pd.to_datetime(["2013-01-01", "2013-01-02"])}))


def test_a_baseline_without_rows_is_refused() -> None:
    with pytest.raises(MlinfraError, match="needs rows"):
        build_profile(pd.DataFrame({"x": []}))


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(MlinfraError, match="same name in the baseline: x"):
        build_profile(pd.DataFrame([[1, 2]], columns=["x", "x"]))


def test_a_baseline_folder_is_read_with_or_without_a_profile(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(50.0), "c": list("ab") * 25})
    frame.to_parquet(tmp_path / "rows.parquet")
    built = read_baseline(tmp_path)
    built.write(tmp_path / "profile.json")
    (tmp_path / "rows.parquet").unlink()
    assert read_baseline(tmp_path).to_json() == built.to_json()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "neither profile.json nor rows.parquet"),
        ("{", "cannot be read"),
        ("[]", "has version None"),
        ('{"version": 2}', "has version 2"),
        ('{"version": 1, "rows": 3, "columns": {"x": {"type": "numeric"}}}', "cannot be read"),
        ('{"version": 1, "rows": 3, "columns": {"x": {"type": "image"}}}', "unknown type 'image'"),
    ],
)
def test_a_broken_baseline_is_said_clearly(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "profile.json").write_text(content)
    with pytest.raises(MlinfraError, match=message) as caught:
        read_baseline(tmp_path)
    assert caught.value.remedy

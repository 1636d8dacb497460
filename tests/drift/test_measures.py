"""Every measure against SciPy, and the properties that a measure of drift must have."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import chebyshev, jensenshannon  # type: ignore[import-untyped]
from scipy.stats import chi2_contingency, chisquare  # type: ignore[import-untyped]
from scipy.stats.contingency import association  # type: ignore[import-untyped]

from mlinfra_serving.drift import measures
from mlinfra_serving.drift.measures import MEASURES, MeasureName

examples = settings(deadline=None, max_examples=80)

COUNTED = {name: measure.of for name, measure in MEASURES.items() if measure.of is not None}
BOUNDED: list[MeasureName] = ["js_divergence", "js_distance", "linf", "cramers_v"]


@st.composite
def two_counts(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Two rows of counts over the same 1 to 30 bins, neither of them empty, with many zeros."""
    bins = draw(st.integers(1, 30))
    one = st.lists(st.one_of(st.just(0), st.integers(0, 100_000)), min_size=bins, max_size=bins).filter(any)
    return draw(one), draw(one)


def test_every_measure_name_has_a_measure() -> None:
    assert set(get_args(MeasureName)) == set(MEASURES)


@examples
@given(two_counts())
def test_equals_scipy(counts: tuple[list[int], list[int]]) -> None:
    a, b = counts
    p, q = np.array(a) / sum(a), np.array(b) / sum(b)
    distance = jensenshannon(p, q, base=2)
    # near 0 SciPy's own rounding (a square root of a difference) is the larger one
    assert measures.js_distance(a, b) == pytest.approx(distance, rel=1e-6, abs=1e-7)
    assert measures.js_divergence(a, b) == pytest.approx(distance**2, rel=1e-6, abs=1e-12)
    assert measures.linf(a, b) == pytest.approx(chebyshev(p, q), rel=1e-12, abs=1e-15)


@examples
@given(two_counts())
def test_chi_squared_and_cramers_v_equal_scipy(counts: tuple[list[int], list[int]]) -> None:
    table = np.array(counts)
    table = table[:, table.sum(axis=0) > 0]
    assume(table.shape[1] > 1)
    expected = chi2_contingency(table, correction=False)
    a, b = counts
    assert measures.chi_squared(a, b) == pytest.approx(expected.statistic, rel=1e-9, abs=1e-7)
    assert measures.chi_squared_p_value(a, b) == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    even = table * table.sum(axis=1)[::-1, np.newaxis]
    assert measures.cramers_v(a, b) == pytest.approx(association(even, method="cramer"), rel=1e-9, abs=1e-6)


def test_cramers_v_does_not_shrink_with_the_window() -> None:
    """The plain V of these two tables is 0.03 and 0.44; the drift is the same."""
    large, small = [50_000, 50_000], [90, 10]
    assert measures.cramers_v(large, small) == pytest.approx(float(measures.cramers_v([50, 50], [90, 10])))
    assert measures.cramers_v([50, 50], [90, 10]) == pytest.approx(
        association(np.array([[50, 50], [90, 10]]), method="cramer")
    )
    assert association(np.array([large, small]), method="cramer") < 0.03


@examples
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=20), st.data())
def test_chi_squared_against_a_large_baseline_is_the_test_of_fit(baseline: list[int], data: st.DataObject) -> None:
    """Evidently takes the baseline's shares for certain; a baseline a million times as large all but makes them so."""
    size = len(baseline)
    window = data.draw(st.lists(st.integers(0, 1000), min_size=size, max_size=size).filter(any))
    expected = np.array(baseline) * sum(window) / sum(baseline)
    fit = chisquare(window, expected)
    certain = np.array(baseline) * 1e9
    assert measures.chi_squared(certain, window) == pytest.approx(fit.statistic, rel=1e-3, abs=1e-6)
    assert measures.chi_squared_p_value(certain, window) == pytest.approx(fit.pvalue, rel=1e-2, abs=1e-9)


@examples
@given(two_counts())
def test_never_negative_and_bounded(counts: tuple[list[int], list[int]]) -> None:
    for name, of in COUNTED.items():
        value = float(of(*counts))
        assert value >= 0, name
        assert math.isfinite(value), name
    for name in BOUNDED:
        assert float(COUNTED[name](*counts)) <= 1, name


@examples
@given(two_counts())
def test_symmetric(counts: tuple[list[int], list[int]]) -> None:
    a, b = counts
    for name, of in COUNTED.items():
        assert float(of(a, b)) == pytest.approx(float(of(b, a)), rel=1e-9, abs=1e-12), name


@examples
@given(two_counts(), st.integers(1, 50))
def test_zero_for_equal_shares_whatever_the_rows(counts: tuple[list[int], list[int]], factor: int) -> None:
    a = counts[0]
    for name, of in COUNTED.items():
        assert float(of(a, [count * factor for count in a])) == pytest.approx(0, abs=1e-6), name


@examples
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20).filter(any))
def test_one_for_nothing_in_common(counts: list[int]) -> None:
    empty = [0] * len(counts)
    for name in ("js_divergence", "js_distance", "cramers_v"):
        assert float(COUNTED[name](counts + empty, empty + counts)) == pytest.approx(1), name


@examples
@given(two_counts(), st.integers(0, 100), st.integers(0, 100))
def test_grows_when_more_of_the_window_comes_from_elsewhere(
    counts: tuple[list[int], list[int]], one: int, other: int
) -> None:
    p, q = (np.array(side) / sum(side) for side in counts)
    less, more = sorted([one / 100, other / 100])
    for name, of in COUNTED.items():
        if name == "psi":
            continue  # its substitute for empty bins is not part of a mixture; next test
        before = float(of(1000 * p, 1000 * ((1 - less) * p + less * q)))
        assert before <= float(of(1000 * p, 1000 * ((1 - more) * p + more * q))) + 1e-6, name


@examples
@given(st.lists(st.integers(100, 1000), min_size=4, max_size=4), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_psi_grows_where_no_bin_is_empty(counts: list[int], one: float, other: float) -> None:
    p, q = np.array(counts) / sum(counts), np.array([0.7, 0.1, 0.1, 0.1])
    less, more = sorted([one, other])
    before = float(measures.psi(p, (1 - less) * p + less * q))
    assert before <= float(measures.psi(p, (1 - more) * p + more * q)) + 1e-12


def test_psi_by_hand() -> None:
    expected = (0.6 - 0.5) * math.log(0.6 / 0.5) + (0.4 - 0.5) * math.log(0.4 / 0.5)
    assert measures.psi([50, 50], [60, 40]) == pytest.approx(expected)
    emptied = (0.0001 - 0.5) * math.log(0.0001 / 0.5) + (1 - 0.5) * math.log(1 / 0.5)
    assert measures.psi([50, 50], [0, 10]) == pytest.approx(emptied)


def test_divergence_is_the_square_of_the_distance_in_bits() -> None:
    assert measures.js_divergence([1, 1], [1, 0]) == pytest.approx(0.311278, abs=1e-6)
    assert measures.js_distance([1, 1], [1, 0]) == pytest.approx(0.311278**0.5, abs=1e-6)


def test_one_call_measures_many_resamples() -> None:
    generator = np.random.default_rng(3)
    many = generator.integers(0, 50, size=(7, 5, 4))
    for name, of in COUNTED.items():
        whole = of([10, 20, 30, 40], many)
        assert whole.shape == (7, 5), name
        assert whole[3, 2] == pytest.approx(float(of([10, 20, 30, 40], many[3, 2]))), name


def test_nothing_to_measure_is_never_zero() -> None:
    for name, of in COUNTED.items():
        assert math.isnan(float(of([1, 2], [0, 0]))), name
    assert math.isnan(float(measures.chi_squared_p_value([1, 2], [0, 0])))
    assert float(measures.chi_squared_p_value([3, 0], [5, 0])) == 1

"""The tests behind relative gates, beside other people's: SciPy's, scikit-learn's, and the definitions themselves."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from mlinfra.rollout.quality import quality, worse
from mlinfra.rollout.samples import ReleaseSamples
from mlinfra.rollout.significance import (
    auc_with_variance,
    is_slower,
    larger_mean,
    more_errors,
    quantile,
    samples_for_quantile,
    smaller_auc,
    too_many_errors,
)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    expected = next(v for v in sorted(values) if sum(w <= v for w in values) >= share * len(values) - 1e-9)
    assert quantile(np.array(values), share) == expected


@pytest.mark.parametrize(("share", "count"), [(0.5, 5), (0.95, 59), (0.99, 299)])
def test_how_many_values_bound_a_quantile(share: float, count: int) -> None:
    assert samples_for_quantile(share) == count
    assert share**count <= 0.05 < share ** (count - 1)


@pytest.mark.parametrize("ratio", [0.9, 1.0, 1.2])
def test_a_slower_quantile_is_found_as_often_as_it_should(ratio: float) -> None:
    """Of slower ones nearly all, of equal ones about one in twenty, of faster ones next to none."""
    random = np.random.default_rng(5)
    found = 0
    for _ in range(500):
        found += is_slower(ratio * random.lognormal(0, 0.3, 2000), random.lognormal(0, 0.3, 8000), 0.95, 1.0)
    low, high = {0.9: (0, 0), 1.0: (8, 45), 1.2: (495, 500)}[ratio]
    assert low <= found <= high


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_equal_rates_are_compared_by_fishers_exact_test(requests: int, many: int, data: st.DataObject) -> None:
    errors, old = data.draw(st.integers(0, requests)), data.draw(st.integers(0, many))
    table = [[errors, requests - errors], [old, many - old]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert more_errors(errors, requests, old, many, 1) == pytest.approx(expected, rel=1e-6)


def test_a_multiple_of_a_rate_is_tested_by_who_has_the_errors() -> None:
    # of 12 errors in all, at twice the old rate 2 * 100 / (2 * 100 + 400) = 1/3 are the new release's
    expected = stats.binomtest(9, 12, 1 / 3, alternative="greater").pvalue
    assert more_errors(9, 100, 3, 400, 2) == pytest.approx(expected)
    assert more_errors(3, 100, 0, 0, 2) == 1


@given(st.integers(1, 500), st.floats(0, 1), st.data())
def test_too_many_errors_is_the_exact_binomial_test(requests: int, rate: float, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, requests))
    expected = stats.binomtest(errors, requests, rate, alternative="greater").pvalue
    assert too_many_errors(errors, requests, rate) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
def test_means_are_compared_by_welchs_test(factor: float) -> None:
    random = np.random.default_rng(3)
    new, old = random.exponential(1.1, 150), random.exponential(1.0, 400)
    expected = stats.ttest_ind(new, factor * old, equal_var=False, alternative="greater").pvalue
    found = larger_mean(new, old, factor)
    assert found == (pytest.approx(expected) if new.mean() > factor * old.mean() else 1)


@given(st.lists(st.integers(0, 4), min_size=3, max_size=30), st.lists(st.integers(0, 4), min_size=3, max_size=30))
def test_the_area_and_its_variance_are_those_of_the_definition(positives: list[int], negatives: list[int]) -> None:
    pairs = np.array([[(p > n) + (p == n) / 2 for n in negatives] for p in positives])
    expected = pairs.mean(axis=1).var(ddof=1) / len(positives) + pairs.mean(axis=0).var(ddof=1) / len(negatives)
    truth = np.array([1.0] * len(positives) + [0.0] * len(negatives))
    scores = np.array([*positives, *negatives], dtype=float)
    area, variance = auc_with_variance(scores, truth == 1)
    assert area == pytest.approx(roc_auc_score(truth, scores))
    assert variance == pytest.approx(expected)


def test_areas_of_different_requests_differ_by_the_sum_of_their_variances() -> None:
    expected = stats.norm.sf((1.1 * 0.7 - 0.68) / math.sqrt(0.0004 + 1.21 * 0.0001))
    assert smaller_auc((0.68, 0.0004), (0.7, 0.0001), 1.1) == pytest.approx(expected)


def of_errors(size: float, count: int = 400) -> ReleaseSamples:
    """Return predictions of 0 that are wrong by `size`, up to a tenth of it."""
    labels = size * (1 + 0.1 * np.sin(np.arange(count)))
    return ReleaseSamples(predictions=[0.0] * count, labels=labels.tolist())


@pytest.mark.parametrize(("factor", "bad"), [(1.2, True), (1.28, True), (1.31, False), (1.5, False)])
def test_the_factor_of_a_root_is_that_of_the_root(factor: float, bad: bool) -> None:
    chance = worse("rmse", of_errors(1.3), of_errors(1.0), factor)
    assert (chance < 0.05) == bad


def test_numbers_too_large_to_square_are_not_told() -> None:
    assert quality("rmse", of_errors(1e200))[0] is None
    large = of_errors(1e100)
    assert quality("rmse", large)[0] == pytest.approx(1e100, rel=0.1)
    assert math.isnan(worse("rmse", large, of_errors(1.0), 1.0))


def test_the_answer_is_that_of_the_other_unit() -> None:
    for factor, unit in product((1.0, 1.3), (1e-150, 1e-3, 1e3, 1e60)):
        new, old = of_errors(1.2), of_errors(1.0, 300)
        scaled = worse("rmse", of_errors(1.2 * unit), of_errors(unit, 300), factor)
        assert scaled == pytest.approx(worse("rmse", new, old, factor))

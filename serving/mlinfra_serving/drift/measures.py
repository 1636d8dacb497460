"""How different two distributions are: one documented function per measure.

Every function takes counts per bin (the Kolmogorov-Smirnov one: cumulated shares) in arrays of shape [..., bins]
and returns the measure in shape [...], so that one call measures a window or a thousand resamples of it. Counts
need not sum to the same total; a total of 0 gives NaN, "nothing measured", never 0. Every measure grows with drift,
and 0 means no difference at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr  # type: ignore[import-untyped]
from scipy.stats import chi2  # type: ignore[import-untyped]

Floats: TypeAlias = NDArray[np.float64]

PSI_SMALLEST_SHARE = 1e-4


def shares(counts: ArrayLike) -> Floats:
    """Return counts as shares of their total, along the last axis; NaN where the total is 0."""
    numbers = np.asarray(counts, dtype=np.float64)
    total = numbers.sum(axis=-1, keepdims=True)
    parts: Floats = np.divide(numbers, total, out=np.full(numbers.shape, np.nan), where=total > 0)
    return parts


def js_divergence(baseline: ArrayLike, window: ArrayLike) -> Floats:
    """Jensen-Shannon divergence in bits (base 2): from 0 (equal) to 1 (nothing in common). Symmetric.

    ½ KL(p‖m) + ½ KL(q‖m) with m = (p + q) / 2.

    Source: J. Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37(1), 1991, with
    logarithms to base 2. It is the square of `js_distance`. Libraries that use the natural logarithm give ln 2 =
    0.693 times as much.
    """
    p, q = shares(baseline), shares(window)
    middle = (p + q) / 2
    bits = (rel_entr(p, middle).sum(axis=-1) + rel_entr(q, middle).sum(axis=-1)) / (2 * np.log(2))
    return np.asarray(np.clip(bits, 0.0, 1.0), dtype=np.float64)


def js_distance(baseline: ArrayLike, window: ArrayLike) -> Floats:
    """Jensen-Shannon distance: the square root of `js_divergence` (base 2), from 0 to 1. A metric.

    Source: D. Endres, J. Schindelin, "A new metric for probability distributions", IEEE Trans. Inf. Theory 49(7),
    2003; equals `scipy.spatial.distance.jensenshannon(p, q, base=2)`. A divergence of 0.1 is a distance of 0.32.
    """
    return np.sqrt(js_divergence(baseline, window))


def linf(baseline: ArrayLike, window: ArrayLike) -> Floats:
    """L-infinity distance: the largest change of the share of any one bin, from 0 to 1. Symmetric.

    max |p_i - q_i|. Source: COMPARATOR_L_INFTY_HIGH of TensorFlow Data Validation, which Vertex AI uses too: the
    L-infinity norm of the difference of normalized counts (https://www.tensorflow.org/tfx/data_validation/anomalies).
    """
    return np.asarray(np.abs(shares(baseline) - shares(window)).max(axis=-1), dtype=np.float64)


def psi(baseline: ArrayLike, window: ArrayLike) -> Floats:
    """Population stability index: 0 when equal, without an upper bound in principle. Symmetric.

    Σ (q_i - p_i) ln(q_i / p_i). Source: N. Siddiqi, "Credit Risk Scorecards", 2006; natural logarithm. A share of
    0 counts as 0.0001 (Evidently's rule too, unless it meets a share below that); a bin that is empty on both
    sides adds nothing.
    """
    p, q = shares(baseline), shares(window)
    small = PSI_SMALLEST_SHARE
    p, q = np.where(p == 0, small, p), np.where(q == 0, small, q)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1), dtype=np.float64)


def ks(baseline_cdf: ArrayLike, window_cdf: ArrayLike) -> Floats:
    """Two-sample Kolmogorov-Smirnov statistic D, from 0 to 1. Symmetric. Takes cumulated shares, not counts.

    max |F(x) - G(x)| over the points x at which both are given. Source: N. Smirnov, "Table for estimating the
    goodness of fit of empirical distributions", Ann. Math. Stat. 19(2), 1948; equals
    `scipy.stats.ks_2samp(a, b).statistic` when every value of either sample is among the points.
    """
    difference = np.asarray(baseline_cdf, dtype=np.float64) - np.asarray(window_cdf, dtype=np.float64)
    return np.asarray(np.abs(difference).max(axis=-1), dtype=np.float64)


def chi_squared(baseline: ArrayLike, window: ArrayLike) -> Floats:
    """Pearson's chi-squared statistic of homogeneity of the two rows of counts; grows with the number of rows.

    Σ over both rows of (observed - expected)² / expected, bins that are empty on both sides left out: for two rows
    N_a N_b Σ (a_i / N_a - b_i / N_b)² / (a_i + b_i). Source: K. Pearson, 1900; equals
    `scipy.stats.chi2_contingency([a, b], correction=False).statistic`. With many rows the slightest difference is
    "significant": read it together with `cramers_v`.
    """
    a, b = np.asarray(baseline, dtype=np.float64), np.asarray(window, dtype=np.float64)
    both = a + b
    squares = (shares(a) - shares(b)) ** 2
    terms = np.divide(squares, both, out=np.where(np.isnan(squares), np.nan, 0.0), where=both > 0)
    return np.asarray(a.sum(axis=-1) * b.sum(axis=-1) * terms.sum(axis=-1), dtype=np.float64)


def chi_squared_p_value(baseline: ArrayLike, window: ArrayLike) -> Floats:
    """Return the p-value of `chi_squared`; degrees of freedom: bins that are not empty on both sides, less one."""
    a, b = np.asarray(baseline, dtype=np.float64), np.asarray(window, dtype=np.float64)
    freedom = np.maximum(((a + b) > 0).sum(axis=-1) - 1, 0)
    statistic = chi_squared(a, b)
    # one bin leaves nothing that could differ; SciPy's distribution has no case for 0 degrees of freedom
    certain = np.where(np.isnan(statistic), np.nan, 1.0)
    return np.asarray(np.where(freedom > 0, chi2.sf(statistic, np.maximum(freedom, 1)), certain))


def cramers_v(baseline: ArrayLike, window: ArrayLike) -> Floats:
    """Cramér's V with both sides given the same weight: the effect size of `chi_squared`, from 0 to 1. Symmetric.

    √(χ² / N) of the table of shares: √(½ Σ (p_i - q_i)² / (p_i + q_i)). Source: H. Cramér, "Mathematical Methods of
    Statistics", 1946, §21.9. Of rows of the same total it equals
    `scipy.stats.contingency.association([a, b], method="cramer")`. Of unlike totals the plain V shrinks with their
    ratio: beside a baseline of 100,000 rows a window of 1,000 could never reach 0.1 by an ordinary drift, however
    clear, and a threshold would mean something else for every size of window.
    """
    p, q = shares(baseline), shares(window)
    return np.asarray(np.clip(np.sqrt(chi_squared(p, q) / 2), 0.0, 1.0), dtype=np.float64)


MeasureName: TypeAlias = Literal["js_divergence", "js_distance", "linf", "psi", "ks", "chi_squared", "cramers_v"]


@dataclass(frozen=True)
class Measure:
    """What a report says about a measure; `of` measures counts, and is absent for the one that needs an order."""

    title: str
    of: Callable[[ArrayLike, ArrayLike], Floats] | None


MEASURES: dict[MeasureName, Measure] = {
    "js_divergence": Measure("Jensen-Shannon divergence (base 2)", js_divergence),
    "js_distance": Measure("Jensen-Shannon distance (base 2)", js_distance),
    "linf": Measure("L-infinity distance", linf),
    "psi": Measure("Population stability index", psi),
    "ks": Measure("Kolmogorov-Smirnov statistic", None),
    "chi_squared": Measure("Chi-squared statistic", chi_squared),
    "cramers_v": Measure("Cramér's V", cramers_v),
}

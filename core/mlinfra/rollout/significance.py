"""Is the new release worse than the one that serves, or is it chance? One documented test for each kind of number.

Every test is one-sided and answers with a probability or a verdict at `ALPHA`; equal samples are never worse. The
tests need single numbers, in arrays of shape [samples]; what is left to chance is nothing: there is no resampling, so
the same samples in any order give the same answer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALPHA = 0.05
"""How often the test of an equal release may say that it is worse."""

EARLY_ALPHA = 0.001
"""The same before there are enough samples: stricter, because it is asked again at every look."""

_ROUNDING = 1e-9


def quantile(values: Floats, share: float) -> float:
    """Return the smallest value that `share` (0 to 1) of all values do not exceed; `values` is not empty."""
    return _order_statistics(values, (_rank(len(values), share),))[0]


def samples_for_quantile(share: float) -> int:
    """Return how many values give limits of confidence on both sides of a quantile.

    The largest of n values is below the quantile with probability share^n, the smallest above it with
    (1 - share)^n; both are to be at most `ALPHA`.
    """
    return math.ceil(math.log(ALPHA) / math.log(max(share, 1 - share)))


def is_slower(new: Floats, old: Floats, share: float, factor: float, alpha: float = ALPHA) -> bool:
    """Return whether a quantile of `new` is above `factor` times that of `old`, beyond the chance `alpha`.

    The limits of each quantile are order statistics, which holds for every distribution (W. J. Conover, "Practical
    Nonparametric Statistics", 3rd ed., 1999, section 3.2). Those of the difference follow by MOVER (G. Y. Zou,
    A. Donner, "Construction of confidence limits about effect measures: a general approach", Statistics in Medicine
    27, 2008): worse is when the lower limit of new - factor * old is above 0. Larger values of `new`, and smaller
    ones of `old`, never make it less so.
    """
    from scipy.stats import binom  # type: ignore[import-untyped]

    lower = int(binom.ppf(alpha, len(new), share))
    upper = int(binom.ppf(1 - alpha, len(old), share)) + 1
    lowest, of_new = _order_statistics(new, (max(lower, 1), _rank(len(new), share)))
    of_old, highest = _order_statistics(old, (_rank(len(old), share), min(upper, len(old))))
    allowed = factor * of_old
    chance = math.hypot(of_new - lowest, factor * highest - allowed)
    return of_new - allowed - chance > _ROUNDING * max(abs(of_new), abs(allowed))


def more_errors(errors: int, requests: int, old_errors: int, old_requests: int, factor: float) -> float:
    """Return the probability of at least this many errors, if the rate were `factor` times the old one.

    Equal rates (factor 1): Fisher's exact test (R. A. Fisher, "The Logic of Inductive Inference", J. Royal Statistical
    Society 98, 1935). Else the exact conditional test of a ratio of rates (J. Przyborowski, H. Wilenski, "Homogeneity
    of results in testing samples from Poisson series", Biometrika 31, 1940), which is on the safe side for shares: the
    errors of both are given, and each is the new release's with probability f n / (f n + m).
    """
    from scipy.stats import binom, hypergeom

    if requests == 0 or old_requests == 0:
        return 1.0
    both = errors + old_errors
    if factor == 1:
        return float(hypergeom.sf(errors - 1, requests + old_requests, both, requests))
    return float(binom.sf(errors - 1, both, factor * requests / (factor * requests + old_requests)))


def too_many_errors(errors: int, requests: int, rate: float) -> float:
    """Return the probability of at least this many errors at a true rate: the exact binomial test.

    Source: C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26, 1934.
    """
    from scipy.stats import binom

    return float(binom.sf(errors - 1, requests, min(max(rate, 0.0), 1.0)))


def larger_mean(new: Floats, old: Floats, factor: float) -> float:
    """Return the probability of a mean of `new` this far above `factor` times that of `old`; two values each at least.

    Source: B. L. Welch, "The generalization of 'Student's' problem when several different population variances are
    involved", Biometrika 34, 1947.
    """
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        of_new = float(new.var(ddof=1)) / len(new)
        variance = of_new + factor**2 * float(old.var(ddof=1)) / len(old)
    share = of_new / variance if variance > 0 else 0.0
    freedom = 1 / (share**2 / (len(new) - 1) + (1 - share) ** 2 / (len(old) - 1))
    return _tail(float(new.mean()), factor * float(old.mean()), variance, freedom)


def smaller_auc(new: tuple[float, float], old: tuple[float, float], factor: float) -> float:
    """Return the probability of an area this far below `factor` times the old one; each is (area, its variance).

    The samples are of different requests, so the variances add; see `auc_with_variance`.
    """
    return _tail(factor * old[0], new[0], new[1] + factor**2 * old[1], math.inf)


def auc_with_variance(predictions: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the area under the ROC curve and its variance; there are at least two of each class. Ties count half.

    The placement of an outcome is the share of the other class that it is on the right side of; the area is the mean
    of the placements of one class, and its variance follows from those of both. Source: E. DeLong, D. DeLong,
    D. Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic curves: a
    nonparametric approach", Biometrics 44, 1988.
    """
    import numpy as np

    one, other = np.sort(predictions[positive]), np.sort(predictions[~positive])
    above = _placements(one, other)
    variance = above.var(ddof=1) / len(one) + _placements(other, one).var(ddof=1) / len(other)
    return float(above.mean()), float(variance)


def _placements(of: Floats, among: Floats) -> Floats:
    """Return the share of `among` that is below each value, ties half; both sorted."""
    import numpy as np

    twice = np.searchsorted(among, of, side="left") + np.searchsorted(among, of, side="right")
    return np.asarray(twice / (2 * len(among)), dtype=np.float64)


def _tail(larger: float, smaller: float, variance: float, freedom: float) -> float:
    """Return the one-sided p-value of `larger` - `smaller`; without any variance it is certain, or equal. NaN: the
    numbers are too large to tell."""
    from scipy.stats import t

    distance = larger - smaller
    if not (math.isfinite(distance) and math.isfinite(variance)):
        return math.nan
    if distance <= _ROUNDING * max(abs(larger), abs(smaller)):
        return 1.0
    return float(t.sf(distance / math.sqrt(variance), freedom)) if variance > 0 else 0.0


def _rank(count: int, share: float) -> int:
    # against a share that is a little more than it says: 0.95 * 100 is 95, not 95.00000000000001
    return min(max(math.ceil(share * count - _ROUNDING), 1), count)


def _order_statistics(values: Floats, ranks: tuple[int, ...]) -> list[float]:
    import numpy as np

    places = [rank - 1 for rank in ranks]
    return [float(value) for value in np.partition(values, sorted(set(places)))[places]]

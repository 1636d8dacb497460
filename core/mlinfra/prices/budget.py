"""Comparing an estimate: with a budget, and with the estimate of what was there before."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from mlinfra.prices.estimate import Dollars, Estimate


class Standing(StrEnum):
    """How an estimate stands to a budget, the worst first."""

    OVER = "over"
    """Over it at the likely load: a mandatory violation."""
    MAY_BE_OVER = "may be over"
    """Over it at the highest load: a warning."""
    UNKNOWN = "unknown"
    """Within it, but something has no price or no known quantity, or is left out of the preview."""
    WITHIN = "within"


def standing(estimate: Estimate, monthly_usd: float) -> Standing:
    """Return how an estimate stands to what may be spent a month."""
    budget = Decimal(repr(monthly_usd))
    monthly = estimate.monthly
    if monthly is not None and monthly.likely > budget:
        return Standing.OVER
    if monthly is not None and monthly.high > budget:
        return Standing.MAY_BE_OVER
    return Standing.UNKNOWN if estimate.monthly_gaps or estimate.left_out else Standing.WITHIN


def growth(before: Estimate, after: Estimate) -> Dollars | None:
    """Return by how much the cost of a month grows; None where nothing has a price on one of the two sides.

    Resources that are removed count as a saving. The bounds compare like with like: minimum with minimum.
    """
    if before.monthly is None or after.monthly is None:
        return None
    return after.monthly - before.monthly

"""Checks: questions to numbers, answered by pass, fail, or no data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Literal

from pydantic.dataclasses import dataclass

from mlinfra.declarations.part import STRICT, Declaration


class Answer(StrEnum):
    """What a check says. No data never passes."""

    PASS = "pass"
    FAIL = "fail"
    NO_DATA = "no data"


@dataclass(frozen=True, config=STRICT)
class Check(Declaration):
    """`metric operator value`, for example `auc >= 0.62`."""

    metric: str
    operator: Literal["<=", ">="]
    value: float = field()

    def ask(self, metrics: Mapping[str, float]) -> Answer:
        """Answer from measured numbers; a missing metric, or one that is not a number, is no data."""
        measured = metrics.get(self.metric)
        if measured is None or math.isnan(measured):
            return Answer.NO_DATA
        passed = measured <= self.value if self.operator == "<=" else measured >= self.value
        return Answer.PASS if passed else Answer.FAIL

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.value:g}"


class Metric:
    """A measured number with a name; compared with a value it becomes a `Check`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __le__(self, value: float) -> Check:
        return Check(self.name, "<=", value)

    def __ge__(self, value: float) -> Check:
        return Check(self.name, ">=", value)

    def __bool__(self) -> bool:
        raise TypeError(f"compare {self.name}() with a value: {self.name}() <= 0.1")


def metric(name: str) -> Metric:
    """Any metric that a training script logs with `run.log_metric(name, …)`."""
    return Metric(name)


def auc() -> Metric:
    """Area under the ROC curve, 0 to 1."""
    return Metric("auc")


def rmse() -> Metric:
    """Root mean squared error, in the unit of the label."""
    return Metric("rmse")


def p50_ms() -> Metric:
    """Median latency of answers, milliseconds."""
    return Metric("p50_ms")


def p95_ms() -> Metric:
    """95th percentile of the latency of answers, milliseconds."""
    return Metric("p95_ms")


def p99_ms() -> Metric:
    """99th percentile of the latency of answers, milliseconds."""
    return Metric("p99_ms")


def error_rate() -> Metric:
    """Share of requests answered by 5xx or not at all, 0 to 1."""
    return Metric("error_rate")


def drift() -> Check:
    """No column of the drift monitor is over its threshold."""
    return Check("drifted_columns", "<=", 0)


def js_divergence() -> Metric:
    """Jensen-Shannon divergence in base 2, 0 to 1 (Lin 1991)."""
    return Metric("js_divergence")


def js_distance() -> Metric:
    """Jensen-Shannon distance: the square root of the divergence in base 2, 0 to 1 (Endres, Schindelin 2003)."""
    return Metric("js_distance")


def linf() -> Metric:
    """Largest difference of the shares of one bin or category, 0 to 1."""
    return Metric("linf")


def psi() -> Metric:
    """Population stability index, 0 and up."""
    return Metric("psi")


def ks() -> Metric:
    """Kolmogorov-Smirnov statistic, 0 to 1; for numbers."""
    return Metric("ks")


def cramers_v() -> Metric:
    """Cramér's V of the chi-squared test, 0 to 1; for categories."""
    return Metric("cramers_v")


DRIFT_MEASURES = ("js_divergence", "js_distance", "linf", "psi", "ks", "cramers_v")
"""The measures that a drift threshold may name."""

GATE_METRICS = ("p50_ms", "p95_ms", "p99_ms", "error_rate", "drifted_columns")
"""The metrics that a gate of a rollout may name."""

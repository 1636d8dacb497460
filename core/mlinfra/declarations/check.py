"""Checks: questions to numbers, answered by pass, fail, or no data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic.dataclasses import dataclass

from mlinfra.declarations.part import STRICT, Declaration


class Answer(StrEnum):
    """What a check says. No data never passes."""

    PASS = "pass"
    FAIL = "fail"
    NO_DATA = "no data"


@dataclass(frozen=True, config=STRICT)
class Check(Declaration):
    """`metric operator value`, for example `auc >= 0.62`.

    The other fields are for gates of a rollout: `relative` makes `value` a factor of what the release that serves now
    measures; `argument` is what Prometheus is asked, the command, or who must approve; `address` is Prometheus's.
    """

    later: ClassVar[frozenset[str]] = frozenset({"relative", "argument", "address"})

    metric: str
    operator: Literal["<=", ">="]
    value: float = field()
    relative: bool = False
    argument: str | None = None
    address: str | None = None

    @property
    def only_in_gates(self) -> bool:
        """Whether it asks what nothing but a gate of a rollout can answer."""
        return self.relative or self.argument is not None or self.address is not None

    def ask(self, metrics: Mapping[str, float]) -> Answer:
        """Answer from measured numbers; a missing metric, or one that is not a number, is no data."""
        measured = metrics.get(self.metric)
        if measured is None or math.isnan(measured):
            return Answer.NO_DATA
        passed = measured <= self.value if self.operator == "<=" else measured >= self.value
        return Answer.PASS if passed else Answer.FAIL

    def __str__(self) -> str:
        if self.metric in UNCOMPARED and self.argument is not None:
            return f"{self.metric} {self.argument!r}"
        asked = self.metric if self.argument is None else f"{self.metric} {self.argument!r}"
        factor = f"{self.value:g} * " if self.value != 1 else ""
        return f"{asked} {self.operator} " + (f"{factor}serving" if self.relative else f"{self.value:g}")


@plain_dataclass(frozen=True)
class OfServing:
    """A multiple of what the release that serves now measures: `1.1 * serving()`."""

    factor: float = 1.0

    def __mul__(self, factor: float) -> OfServing:
        return OfServing(self.factor * factor)

    __rmul__ = __mul__


class Metric:
    """A measured number with a name; compared with a value, or with `serving()`, it becomes a `Check`."""

    def __init__(self, name: str, argument: str | None = None, address: str | None = None) -> None:
        self.name = name
        self._argument = argument
        self._address = address

    def __le__(self, value: float | OfServing) -> Check:
        return self._check("<=", value)

    def __ge__(self, value: float | OfServing) -> Check:
        return self._check(">=", value)

    def __bool__(self) -> bool:
        raise TypeError(f"compare {self.name}() with a value: {self.name}() <= 0.1")

    def _check(self, operator: Literal["<=", ">="], value: float | OfServing) -> Check:
        relative = isinstance(value, OfServing)
        number = value.factor if isinstance(value, OfServing) else value
        return Check(self.name, operator, number, relative, self._argument, self._address)


def serving() -> OfServing:
    """What the release that serves now measures, in a gate of a rollout: `p95_ms() <= 1.1 * serving()`."""
    return OfServing()


def metric(name: str) -> Metric:
    """Any metric that a training script logs with `run.log_metric(name, …)`."""
    return Metric(name)


def auc() -> Metric:
    """Area under the ROC curve, 0 to 1."""
    return Metric("auc")


def accuracy() -> Metric:
    """Share of right predictions, 0 to 1; a probability counts as its nearer class."""
    return Metric("accuracy")


def rmse() -> Metric:
    """Root mean squared error, in the unit of the label."""
    return Metric("rmse")


def brier() -> Metric:
    """Brier score: mean squared difference of probability and outcome, 0 (best) to 1 (Brier 1950)."""
    return Metric("brier")


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


def saturation() -> Metric:
    """Share of its limit that the busiest replica uses, 0 to 1."""
    return Metric("saturation")


def prometheus(query: str, *, url: str | None = None) -> Metric:
    """The number that Prometheus answers to an instant query; `url` defaults to the variable PROMETHEUS_URL."""
    return Metric("prometheus", query, url)


def command(line: str) -> Check:
    """A command, run without a shell in the repository's folder, exits 0."""
    return Check("command", "<=", 0, argument=line)


def approval(who: str) -> Check:
    """Somebody has approved: `approval("team lead")`."""
    return Check("approval", ">=", 1, argument=who)


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

LABELLED = ("auc", "accuracy", "rmse", "brier")
"""The metrics of quality: they need labels, which arrive later than the requests."""

UNCOMPARED = ("command", "approval")
"""Gates that are passed or not, without a number of anybody's to compare."""

ASKED = ("prometheus", *UNCOMPARED)
"""Gates that something else than the samples of a release answers."""

HIGHER_IS_BETTER = ("auc", "accuracy")

GATE_METRICS = (
    "p50_ms", "p95_ms", "p99_ms", "error_rate", "saturation", "drifted_columns", *LABELLED, *ASKED,
)  # fmt: skip
"""The metrics that a gate of a rollout may name."""

"""What a comparison says: thresholds in, verdicts by column out, and both as JSON and as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from mlinfra.problems import MlinfraError, nearest
from mlinfra_serving.drift.measures import MEASURES, MeasureName
from mlinfra_serving.drift.profile import Profile

Verdict: TypeAlias = Literal["ok", "drift", "no data"]
DEFAULT_MEASURE: MeasureName = "js_divergence"


@dataclass(frozen=True)
class Threshold:
    """A limit for one measure of one column. Measures grow with drift, so only upper limits make sense."""

    metric: MeasureName
    operator: Literal["<="]
    value: float

    def holds(self, measured: float) -> bool:
        """Return whether a measured value is within the limit."""
        return measured <= self.value

    def to_json(self) -> dict[str, Any]:
        return {"metric": self.metric, "operator": self.operator, "value": self.value}


@dataclass(frozen=True)
class Measured:
    """One measure of one column: its value in the window (None: nothing to measure) and its noise floor."""

    value: float | None
    floor: float | None

    def to_json(self) -> dict[str, float | None]:
        return {"value": self.value, "floor": self.floor}


@dataclass(frozen=True)
class Bar:
    """One bin of a plot: its name and the share of rows, from 0 to 1, on both sides (window None: no rows).

    `together`: not one bin, but the many that have no bar of their own.
    """

    label: str
    baseline: float
    window: float | None
    together: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ColumnResult:
    """One column. `verdict` is None where no threshold decides; `rows_needed` goes with "no data" where known."""

    column: str
    type: Literal["numeric", "categorical"]
    measure: MeasureName
    measures: Mapping[MeasureName, Measured]
    p_value: float | None
    threshold: Threshold | None
    verdict: Verdict | None
    rows: int
    rows_needed: int | None
    note: str
    bars: Sequence[Bar]

    @property
    def value(self) -> float | None:
        return self.measures[self.measure].value

    @property
    def floor(self) -> float | None:
        return self.measures[self.measure].floor

    def to_json(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "type": self.type,
            "measure": self.measure,
            "value": self.value,
            "floor": self.floor,
            "threshold": self.threshold.to_json() if self.threshold else None,
            "verdict": self.verdict,
            "rows": self.rows,
            "rows_needed": self.rows_needed,
            "note": self.note or None,
            "measures": {name: measured.to_json() for name, measured in self.measures.items()},
            "chi_squared_p_value": self.p_value,
            "bars": [bar.to_json() for bar in self.bars],
        }


@dataclass(frozen=True)
class Result:
    """A window compared with a baseline, column by column."""

    rows: int
    baseline_rows: int
    seed: int
    columns: Sequence[ColumnResult]
    unknown: Sequence[str]
    """Columns of the window that the baseline does not know."""

    @property
    def verdict(self) -> Verdict:
        """Drift if one column drifts; else no data if one has none, or the window is empty; else ok."""
        verdicts = {column.verdict for column in self.columns}
        if "drift" in verdicts:
            return "drift"
        return "no data" if "no data" in verdicts or self.rows == 0 else "ok"

    def drifted(self) -> list[ColumnResult]:
        """Return the columns that drift, in the baseline's order."""
        return [column for column in self.columns if column.verdict == "drift"]

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "drifted_columns": None if self.verdict == "no data" else len(self.drifted()),
            "rows": self.rows,
            "baseline_rows": self.baseline_rows,
            "seed": self.seed,
            "unknown_columns": list(self.unknown),
            "columns": [column.to_json() for column in self.columns],
        }

    def table(self) -> str:
        """Return the result as a plain table of text, what decides first."""
        heads = ("column", "measure", "value", "floor", "threshold", "verdict", "rows")
        lines = [heads, *(_cells(column) for column in in_order(self.columns))]
        widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
        right = (2, 3, 6)
        rendered = []
        for line in lines:
            cells = [
                cell.rjust(width) if i in right else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            rendered.append("  ".join(cells).rstrip())
        notes = [f"{column.column}: {column.note}" for column in self.columns if column.note and column.verdict]
        return "\n".join([*rendered, *notes])


def in_order(columns: Sequence[ColumnResult]) -> list[ColumnResult]:
    """Return columns as a reader wants them: drift, no data, ok, undecided; the largest value first in each."""
    ranks: list[Verdict | None] = ["drift", "no data", "ok", None]
    return sorted(columns, key=lambda column: (ranks.index(column.verdict), -(column.value or 0.0)))


def number(value: float | None) -> str:
    """Return a measure as people read it, `-` for none."""
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


def parse_thresholds(data: Any) -> dict[str, Threshold]:
    """Return thresholds by column from their JSON form, `{"temp": {"metric", "operator", "value"}}`.

    Raises:
        MlinfraError: anything else; all that is wrong is said at once.
    """
    example = '{"temp": {"metric": "js_divergence", "operator": "<=", "value": 0.1}}'
    if not isinstance(data, Mapping):
        raise MlinfraError("thresholds are a JSON object by column", remedy=f"such as {example}")
    wrong = [f"{name}: {reason}" for name, check in data.items() if (reason := _wrong(check))]
    if wrong:
        raise MlinfraError("\n".join(["thresholds that cannot be used:", *wrong]), remedy=f"such as {example}")
    return {
        str(name): Threshold(check["metric"], check["operator"], float(check["value"])) for name, check in data.items()
    }


def check_thresholds(profile: Profile, thresholds: Mapping[str, Threshold]) -> None:
    """Refuse thresholds that this baseline cannot answer.

    Raises:
        MlinfraError: a column that the baseline does not have, or a measure that its type does not have.
    """
    wrong = []
    for name, threshold in thresholds.items():
        if name not in profile.columns:
            near = nearest(name, profile.columns)
            hint = f"did you mean {near!r}?" if near else f"it has {', '.join(profile.columns)}"
            wrong.append(f"{name}: the baseline has no such column; {hint}")
        elif threshold.metric == "ks" and profile.columns[name].type == "categorical":
            wrong.append(f"{name}: ks needs an order, and this column has categories; use js_divergence or linf")
    if wrong:
        raise MlinfraError("\n".join(["thresholds that do not fit the baseline:", *wrong]))


def _wrong(check: Any) -> str:
    if not isinstance(check, Mapping) or set(check) != {"metric", "operator", "value"}:
        return "a threshold has exactly metric, operator and value"
    metric, operator, value = check["metric"], check["operator"], check["value"]
    if metric == "chi_squared":
        return "the chi-squared statistic grows with the rows; use cramers_v, its effect size"
    if metric not in MEASURES:
        known = ", ".join(name for name in MEASURES if name != "chi_squared")
        return f"unknown measure {metric!r}; known: {known}"
    if operator != "<=":
        return f"operator {operator!r}: measures grow with drift, so a limit is <="
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return f"value {value!r} is not a number of 0 or more"
    return ""


def _cells(column: ColumnResult) -> tuple[str, ...]:
    threshold = f"{column.threshold.operator} {column.threshold.value:g}" if column.threshold else "-"
    verdict = column.verdict or "-"
    cells = (column.column, column.measure, number(column.value), number(column.floor))
    return (*cells, threshold, verdict, str(column.rows))

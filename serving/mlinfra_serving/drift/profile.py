"""What is kept of a baseline: for every column enough for every measure, without the rows.

Numeric columns keep quantile bins and a grid of their empirical distribution function; other columns keep counts by
category. Nulls are a bin of their own everywhere: a feature that stops arriving is drift.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
from numpy.typing import NDArray

from mlinfra.files import write_atomically
from mlinfra.problems import MlinfraError
from mlinfra_serving.drift.measures import Floats

PROFILE_VERSION = 1
GRID_POINTS = 1000
"""Points at which the distribution function of a numeric column is kept.

With at most this many distinct values the Kolmogorov-Smirnov statistic is exact; with more it is too small by at
most 1 / GRID_POINTS = 0.001, as less than that share of the rows lies strictly between two neighbours.
"""
CATEGORIES = 200
"""Categories kept by name, the most frequent first; the others, and those never seen, share one bin."""
LARGEST = 1e308

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Counted:
    """A column's rows counted the way its baseline is: `counts` of shape [bins], nulls last, and for numeric
    columns the shares of rows (nulls below every number) up to each point of the grid."""

    counts: Integers
    cdf: Floats | None


@dataclass(frozen=True)
class NumericColumn:
    """A column of numbers. Bin i holds edges[i-1] <= x < edges[i]; the first and the last are open to infinity.

    A value that makes up a bin's worth of rows alone has a bin of its own, [x, next number after x), so that a
    column that is mostly 0 keeps the zeros apart from the rest. `grid_values` are points of the distribution
    function: `grid_below` rows lie below each of them, `grid_through` rows below or at it (nulls counted in neither).
    """

    edges: Floats
    counts: Integers
    nulls: int
    grid_values: Floats
    grid_below: Integers
    grid_through: Integers

    type: Literal["numeric"] = "numeric"

    def baseline(self) -> Counted:
        """Return the baseline's own rows, counted."""
        rows = int(self.counts.sum()) + self.nulls
        return Counted(np.append(self.counts, self.nulls), _cdf(self.grid_below, self.grid_through, self.nulls, rows))

    def count(self, series: pd.Series[Any]) -> Counted:
        """Count a window's rows; what is not a number counts as null."""
        numbers = _sorted_numbers(series)
        nulls = len(series) - len(numbers)
        below = np.searchsorted(numbers, self.grid_values, side="left")
        through = np.searchsorted(numbers, self.grid_values, side="right")
        return Counted(np.append(_histogram(numbers, self.edges), nulls), _cdf(below, through, nulls, len(series)))

    def labels(self) -> list[str]:
        """Return a readable name for every bin, `null` last."""
        if not len(self.edges):
            return ["any number", "null"]
        edges = self.edges.tolist()
        # an edge just behind a value that has a bin of its own is named after that value
        behind = [high == math.nextafter(low, math.inf) for low, high in pairwise([-math.inf, *edges])]
        named = [edges[i - 1] if behind[i] else edges[i] for i in range(len(edges))]
        names = [f"below {_short(edges[0])}"]
        for i in range(len(edges) - 1):
            span = f"{'over ' if behind[i] else ''}{_short(named[i])} to {_short(edges[i + 1])}"
            names.append(_short(edges[i]) if behind[i + 1] else span)
        names.append(f"over {_short(named[-1])}" if behind[-1] else f"{_short(edges[-1])} and more")
        return [*names, "null"]

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "nulls": self.nulls,
            "grid": {
                "values": self.grid_values.tolist(),
                "below": self.grid_below.tolist(),
                "through": self.grid_through.tolist(),
            },
        }


@dataclass(frozen=True)
class CategoricalColumn:
    """A column of names: counts by category, most frequent first; `other` counts the rows beyond the cap."""

    categories: Mapping[str, int]
    other: int
    nulls: int

    type: Literal["categorical"] = "categorical"

    def baseline(self) -> Counted:
        """Return the baseline's own rows, counted."""
        return Counted(np.array([*self.categories.values(), self.other, self.nulls], dtype=np.int64), None)

    def count(self, series: pd.Series[Any]) -> Counted:
        """Count a window's rows; a category without a bin of its own counts as other."""
        found = _category_counts(series)
        known = [found.pop(name, 0) for name in self.categories]
        other = sum(found.values())
        nulls = len(series) - sum(known) - other
        return Counted(np.array([*known, other, nulls], dtype=np.int64), None)

    def labels(self) -> list[str]:
        """Return a readable name for every bin, `other` and `null` last."""
        return [*self.categories, "other", "null"]

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "categories": dict(self.categories),
            "other": self.other,
            "nulls": self.nulls,
        }


Column = NumericColumn | CategoricalColumn


@dataclass(frozen=True)
class Profile:
    """A baseline without its rows: how many there were, and every column."""

    rows: int
    columns: Mapping[str, Column]

    def to_json(self) -> dict[str, Any]:
        """Return the content of `profile.json`."""
        columns = {name: column.to_json() for name, column in self.columns.items()}
        return {"version": PROFILE_VERSION, "rows": self.rows, "columns": columns}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Profile:
        """Return the profile that `to_json` wrote.

        Raises:
            MlinfraError: another version, or not a profile.
        """
        if data.get("version") != PROFILE_VERSION:
            raise MlinfraError(
                f"the baseline's profile has version {data.get('version')!r}, this mlinfra reads {PROFILE_VERSION}",
                remedy="train again with the installed version of mlinfra-toolkit",
            )
        try:
            columns = {name: _column(column) for name, column in data["columns"].items()}
            return cls(int(data["rows"]), columns)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MlinfraError(
                f"the baseline's profile cannot be read: {error!r}", remedy="train again to write a new baseline"
            ) from error

    def write(self, path: Path) -> None:
        """Write `profile.json` (atomically)."""
        write_atomically(
            path, json.dumps(self.to_json(), separators=(",", ":"), allow_nan=False) + "\n", durable=True, private=False
        )


def build_profile(
    frame: pd.DataFrame, *, bins: int = 10, categories: int = CATEGORIES, grid: int = GRID_POINTS
) -> Profile:
    """Return the profile of a baseline of shape [rows, columns].

    Numbers get about `bins` quantile bins; booleans, strings and everything else count by category, of which at
    most `categories` by name. `grid` bounds the error of the Kolmogorov-Smirnov statistic by 1 / grid.

    Raises:
        MlinfraError: no rows, columns of the same name, or a column of times (give it as a number).
    """
    if frame.empty:
        raise MlinfraError("a baseline needs rows and columns", remedy="save the model with its training rows")
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise MlinfraError(f"columns of the same name in the baseline: {', '.join(twice)}", remedy="rename them")
    columns: dict[str, Column] = {}
    for position, name in enumerate(names):
        series = frame.iloc[:, position]
        if _is_numeric(name, series):
            columns[name] = _numeric(series, bins, grid)
        else:
            columns[name] = _categorical(series, categories)
    return Profile(len(frame), columns)


def read_baseline(folder: Path) -> Profile:
    """Return the profile of a baseline folder: `profile.json`, or built from `rows.parquet` where there is none.

    Raises:
        MlinfraError: neither is there, or it cannot be read.
    """
    file, rows = folder / "profile.json", folder / "rows.parquet"
    remedy = "train again, or give the folder `baseline` of a training run's output"
    try:
        if file.exists():
            data = json.loads(file.read_text(encoding="utf-8"))
            return Profile.from_json(data if isinstance(data, dict) else {})
        if rows.exists():
            return build_profile(parquet.read_table(rows).to_pandas())
    except (OSError, ValueError) as error:
        raise MlinfraError(f"the baseline in {folder} cannot be read: {error}", remedy=remedy) from error
    raise MlinfraError(f"no baseline in {folder}: neither profile.json nor rows.parquet", remedy=remedy)


def _numeric(series: pd.Series[Any], bins: int, grid: int) -> NumericColumn:
    numbers = _sorted_numbers(series)
    edges, points = np.empty(0), np.empty(0)
    if len(numbers):
        values, counts = np.unique(numbers, return_counts=True)
        cuts = np.unique(numbers[np.arange(1, bins) * len(numbers) // bins])
        alone = values[counts * bins >= len(numbers)]
        edges = np.unique(np.concatenate([cuts, alone, np.nextafter(alone, math.inf)]))
        points = values
        if len(values) > grid:
            points = np.unique(np.append(numbers[np.arange(grid) * len(numbers) // grid], numbers[-1]))
    return NumericColumn(
        edges=edges,
        counts=_histogram(numbers, edges),
        nulls=len(series) - len(numbers),
        grid_values=points,
        grid_below=np.searchsorted(numbers, points, side="left"),
        grid_through=np.searchsorted(numbers, points, side="right"),
    )


def _categorical(series: pd.Series[Any], limit: int) -> CategoricalColumn:
    found = _category_counts(series)
    # by name among equals, so that the same rows in another order give the same profile
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    named, rest = dict(ordered[:limit]), sum(count for _, count in ordered[limit:])
    return CategoricalColumn(named, rest, len(series) - sum(found.values()))


def _is_numeric(name: str, series: pd.Series[Any]) -> bool:
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind.startswith(("date", "time", "period", "interval")):
        raise MlinfraError(
            f"column {name!r} of the baseline holds times ({kind})",
            remedy="give the model a number instead, such as the hour or seconds since a fixed moment",
        )
    return kind in {"integer", "floating", "mixed-integer-float", "decimal"}


def _sorted_numbers(series: pd.Series[Any]) -> Floats:
    numeric = pd.api.types.is_numeric_dtype(series.dtype)
    converted = series if numeric else pd.to_numeric(series.astype(object), errors="coerce")
    values = converted.to_numpy(dtype=np.float64, na_value=np.nan)
    # JSON has no infinity: it counts as a number large enough for the outermost bin
    numbers: Floats = np.clip(values[~np.isnan(values)], -LARGEST, LARGEST)
    numbers.sort()
    return numbers


def _histogram(numbers: Floats, edges: Floats) -> Integers:
    below = np.searchsorted(numbers, edges, side="left")
    return np.diff(below, prepend=0, append=len(numbers)).astype(np.int64)


def _category_counts(series: pd.Series[Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value, count in series.value_counts(sort=False).items():
        # a number may come as 1 from training and as 1.0 over the wire; a boolean likewise as True or true
        name = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        name = name.lower() if isinstance(value, bool | np.bool_) else name
        counts[name] = counts.get(name, 0) + int(count)
    return counts


def _cdf(below: Integers, through: Integers, nulls: int, rows: int) -> Floats:
    """Return shares of rows up to: the nulls, then each point's left and right limit; shape [2 points + 1]."""
    steps: Floats = np.concatenate([[nulls], nulls + below, nulls + through]).astype(np.float64)
    steps /= rows if rows else np.nan
    return steps


def _column(data: Mapping[str, Any]) -> Column:
    if data["type"] == "categorical":
        names = {str(name): int(count) for name, count in data["categories"].items()}
        return CategoricalColumn(names, int(data["other"]), int(data["nulls"]))
    if data["type"] != "numeric":
        raise ValueError(f"unknown type {data['type']!r}")
    grid = data["grid"]
    return NumericColumn(
        edges=np.asarray(data["edges"], dtype=np.float64),
        counts=np.asarray(data["counts"], dtype=np.int64),
        nulls=int(data["nulls"]),
        grid_values=np.asarray(grid["values"], dtype=np.float64),
        grid_below=np.asarray(grid["below"], dtype=np.int64),
        grid_through=np.asarray(grid["through"], dtype=np.int64),
    )


def _short(number: float) -> str:
    return f"{number:.5g}"

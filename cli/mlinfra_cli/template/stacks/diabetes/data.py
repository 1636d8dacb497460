"""442 patients and how far their diabetes had progressed a year later, as shipped with scikit-learn.

Source: Efron, Hastie, Johnstone, Tibshirani, "Least Angle Regression", Annals of Statistics 32 (2004).
"""

from __future__ import annotations

import pandas as pd
from sklearn.datasets import load_diabetes  # type: ignore[import-untyped]


def patients() -> pd.DataFrame:
    """Return one row per patient: four measures in their own units, and `progression` (25 to 346)."""
    frame: pd.DataFrame = load_diabetes(as_frame=True, scaled=False).frame
    rows = frame[["age", "bmi", "bp", "s5", "target"]].astype("float64")
    return rows.rename(columns={"s5": "log_triglycerides", "target": "progression"})

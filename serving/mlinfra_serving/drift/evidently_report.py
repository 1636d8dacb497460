"""Evidently's own report of the same rows, for those who know it (about 5 MB of HTML, several seconds)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pyarrow.parquet as parquet  # type: ignore[import-untyped]

from mlinfra.problems import MlinfraError

EVIDENTLY_FILE = "evidently.html"


def require_evidently(baseline: Path) -> None:
    """Refuse before any work is done.

    Raises:
        MlinfraError: Evidently is not installed, or the baseline has no rows to give it.
    """
    if importlib.util.find_spec("evidently") is None:
        raise MlinfraError(
            "the Evidently report needs the package evidently, which is not installed",
            remedy="pip install 'mlinfra-toolkit[evidently]'",
        )
    if not (baseline / "rows.parquet").exists():
        raise MlinfraError(
            f"the Evidently report needs rows, and {baseline} has no rows.parquet",
            remedy="run without --evidently: mlinfra's own measures need the profile only",
        )


def write_evidently(baseline: Path, frame: pd.DataFrame, output: Path) -> Path | None:
    """Write `evidently.html` for a window's rows against the baseline's; None where no column has rows on both sides.

    Source of the interface: https://docs.evidentlyai.com/docs/library/report (evidently 0.7).
    """
    from evidently import Dataset, Report  # type: ignore[import-not-found,unused-ignore]
    from evidently.presets import DataDriftPreset  # type: ignore[import-not-found,unused-ignore]

    reference = parquet.read_table(baseline / "rows.parquet").to_pandas()
    shared = [name for name in reference.columns if name in frame and frame[name].notna().any()]
    if not shared:
        return None
    report = Report([DataDriftPreset()])
    snapshot = report.run(Dataset.from_pandas(frame[shared]), Dataset.from_pandas(reference[shared]))
    file = output / EVIDENTLY_FILE
    partial = file.with_name(f".{EVIDENTLY_FILE}.partial")
    snapshot.save_html(str(partial))
    return partial.replace(file)

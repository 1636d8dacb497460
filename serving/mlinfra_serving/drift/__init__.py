"""Drift: how far the requests of a window are from the rows a model was trained on."""

from __future__ import annotations

from mlinfra_serving.drift.compare import compare
from mlinfra_serving.drift.measures import MEASURES
from mlinfra_serving.drift.profile import Profile, build_profile, read_baseline
from mlinfra_serving.drift.result import ColumnResult, Result, Threshold, Verdict, parse_thresholds

__all__ = [
    "MEASURES",
    "ColumnResult",
    "Profile",
    "Result",
    "Threshold",
    "Verdict",
    "build_profile",
    "compare",
    "parse_thresholds",
    "read_baseline",
]

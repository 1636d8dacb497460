"""A drift measure has one name: in declarations, in the drift job, and in the contract of targets."""

from __future__ import annotations

import mlinfra
from mlinfra.declarations.check import DRIFT_MEASURES, Metric
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.testing.specimens import BY_HAND, SMALL
from mlinfra_serving.drift.measures import MEASURES

NO_THRESHOLD = {"chi_squared"}
"""Measures that grow with the rows: reported, but no threshold may name them."""


def test_what_a_threshold_may_name_is_what_the_drift_job_measures() -> None:
    assert set(DRIFT_MEASURES) == set(MEASURES) - NO_THRESHOLD


def test_every_measure_is_a_function_that_stacks_import() -> None:
    for name in DRIFT_MEASURES:
        assert name in mlinfra.__all__
        measure = getattr(mlinfra, name)()
        assert isinstance(measure, Metric)
        assert measure.name == name


def test_targets_are_tried_with_every_measure() -> None:
    monitor = SMALL[DriftMonitor]
    assert isinstance(monitor, DriftMonitor)
    used = {check.metric for check in monitor.thresholds.values()}
    assert used | set(BY_HAND["DriftMonitor.thresholds.metric"]) == set(DRIFT_MEASURES)

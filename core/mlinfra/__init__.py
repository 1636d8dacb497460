"""Declare an ML platform once; plan, price, check, promote, verify and roll it back on every target."""

from mlinfra.declarations.check import (
    Check,
    Metric,
    accuracy,
    approval,
    auc,
    brier,
    command,
    cramers_v,
    drift,
    error_rate,
    js_distance,
    js_divergence,
    ks,
    linf,
    metric,
    p50_ms,
    p95_ms,
    p99_ms,
    prometheus,
    psi,
    rmse,
    saturation,
    serving,
)
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Capture, Endpoint, Rollout, Scale
from mlinfra.declarations.feature_store import Entity, Feature, FeatureStore
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.stack import Stack
from mlinfra.declarations.training_job import Dataset, TrainingJob

__all__ = [
    "Capture",
    "Check",
    "Compute",
    "Dataset",
    "DriftMonitor",
    "Endpoint",
    "Entity",
    "Feature",
    "FeatureStore",
    "Metric",
    "ModelRegistry",
    "Rollout",
    "Scale",
    "Stack",
    "TrainingJob",
    "accuracy",
    "approval",
    "auc",
    "brier",
    "command",
    "cramers_v",
    "drift",
    "error_rate",
    "js_distance",
    "js_divergence",
    "ks",
    "linf",
    "metric",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "prometheus",
    "psi",
    "rmse",
    "saturation",
    "serving",
]

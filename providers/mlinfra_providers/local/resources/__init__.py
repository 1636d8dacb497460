"""The resource types of the local target, by name: `mlinfra:local:<name>`."""

from __future__ import annotations

from collections.abc import Mapping

from mlinfra_providers.handler import Handler
from mlinfra_providers.local.resources.drift_schedule import DriftSchedule
from mlinfra_providers.local.resources.feature_view import FeatureView
from mlinfra_providers.local.resources.model_version import ModelVersion
from mlinfra_providers.local.resources.registered_model import RegisteredModel
from mlinfra_providers.local.resources.server import Server
from mlinfra_providers.local.resources.traffic import TrafficSplit
from mlinfra_providers.local.resources.training_definition import TrainingDefinition

HANDLERS: Mapping[str, type[Handler]] = {
    "DriftSchedule": DriftSchedule,
    "FeatureView": FeatureView,
    "ModelVersion": ModelVersion,
    "RegisteredModel": RegisteredModel,
    "Server": Server,
    "Traffic": TrafficSplit,
    "TrainingDefinition": TrainingDefinition,
}

"""The resource types of Azure ML that pulumi-azure-native has not, or not rightly: `mlinfra:azureml:<name>`."""

from __future__ import annotations

from collections.abc import Mapping

from mlinfra_providers.azureml.resources.definition import FeatureSetSpec, TrainingDefinition
from mlinfra_providers.azureml.resources.endpoint import OnlineEndpoint
from mlinfra_providers.azureml.resources.feature_set import FeaturesetVersion
from mlinfra_providers.azureml.resources.traffic import TrafficSplit
from mlinfra_providers.handler import Handler

HANDLERS: Mapping[str, type[Handler]] = {
    "FeatureSetSpec": FeatureSetSpec,
    "FeaturesetVersion": FeaturesetVersion,
    "OnlineEndpoint": OnlineEndpoint,
    "Traffic": TrafficSplit,
    "TrainingDefinition": TrainingDefinition,
}

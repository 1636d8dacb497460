"""The resource types of SageMaker that no SDK of Pulumi has right, by name: `mlinfra:sagemaker:<name>`."""

from __future__ import annotations

from collections.abc import Mapping

from mlinfra_providers.handler import Handler
from mlinfra_providers.sagemaker.resources.endpoint import Endpoint
from mlinfra_providers.sagemaker.resources.feature_columns import FeatureColumns
from mlinfra_providers.sagemaker.resources.model_version import ModelVersion
from mlinfra_providers.sagemaker.resources.traffic import TrafficSplit

HANDLERS: Mapping[str, type[Handler]] = {
    "Endpoint": Endpoint,
    "FeatureColumns": FeatureColumns,
    "ModelVersion": ModelVersion,
    "Traffic": TrafficSplit,
}

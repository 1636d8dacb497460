"""The resource types of Vertex AI that pulumi-gcp has not, by name: `mlinfra:vertex:<name>`."""

from __future__ import annotations

from collections.abc import Mapping

from mlinfra_providers.handler import Handler
from mlinfra_providers.vertex.resources.custom_job import CustomJob
from mlinfra_providers.vertex.resources.deployed_model import DeployedModel
from mlinfra_providers.vertex.resources.model import Model
from mlinfra_providers.vertex.resources.model_version import ModelVersion
from mlinfra_providers.vertex.resources.monitoring_job import MonitoringJob
from mlinfra_providers.vertex.resources.traffic import TrafficSplit

HANDLERS: Mapping[str, type[Handler]] = {
    "CustomJob": CustomJob,
    "DeployedModel": DeployedModel,
    "Model": Model,
    "ModelDeploymentMonitoringJob": MonitoringJob,
    "ModelVersion": ModelVersion,
    "Traffic": TrafficSplit,
}

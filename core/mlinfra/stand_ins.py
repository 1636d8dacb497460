"""Resources of mlinfra's own plugin that do what a resource of an SDK does, with the same inputs.

The SDK's cannot do it right, which is why there are others; rules and prices are about what they make, and are written
once, for the SDK's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlinfra.resources import Resources

STANDS_FOR: Mapping[str, str] = {
    "mlinfra:azureml:FeaturesetVersion": "azure-native:machinelearningservices:FeaturesetVersion",
    "mlinfra:azureml:OnlineEndpoint": "azure-native:machinelearningservices:OnlineEndpoint",
    "mlinfra:sagemaker:Endpoint": "aws:sagemaker/endpoint:Endpoint",
    "mlinfra:sagemaker:ModelVersion": "aws-native:sagemaker:ModelPackage",
    "mlinfra:vertex:CustomJob": "google-native:aiplatform/v1:CustomJob",
    "mlinfra:vertex:DeployedModel": "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool",
    "mlinfra:vertex:ModelDeploymentMonitoringJob": "google-native:aiplatform/v1:ModelDeploymentMonitoringJob",
}
"""By the type of a stand-in: the type whose inputs it has."""


def stood_for(resources: Resources) -> Resources:
    """Return the resources with each stand-in as what it stands for; URNs and names stay."""
    if not any(resource.type in STANDS_FOR for resource in resources.all):
        return resources
    made = [replace(item, type=STANDS_FOR.get(item.type, item.type)) for item in resources.all]
    return replace(resources, all=made)

"""The Azure ML adapter keeps the contract."""

from __future__ import annotations

from mlinfra.testing import AdapterContract

_ML = "azure-native:machinelearningservices"


class TestAzureML(AdapterContract):
    adapter_name = "azureml"
    without_data = frozenset({f"{_ML}:FeaturesetVersion", "mlinfra:azureml:FeatureSetSpec"})

"""The Azure ML adapter keeps the contract."""

from __future__ import annotations

from mlinfra.testing import AdapterContract


class TestAzureML(AdapterContract):
    adapter_name = "azureml"
    without_data = frozenset({"mlinfra:azureml:FeaturesetVersion", "mlinfra:azureml:FeatureSetSpec"})

"""The target `azureml`: Azure Machine Learning, with what its parts need around them in one resource group."""

from mlinfra_providers.azureml.adapter import AzureML

__all__ = ["AzureML"]

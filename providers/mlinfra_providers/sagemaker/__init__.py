"""The target `sagemaker`: Amazon SageMaker AI, with what its parts need around them in one AWS account."""

from mlinfra_providers.sagemaker.adapter import SageMaker

__all__ = ["SageMaker"]

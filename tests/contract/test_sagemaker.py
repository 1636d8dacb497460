"""The SageMaker adapter keeps the contract."""

from __future__ import annotations

from mlinfra.testing import AdapterContract


class TestSageMaker(AdapterContract):
    adapter_name = "sagemaker"
    without_data = frozenset({"aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy", "mlinfra:sagemaker:FeatureColumns"})

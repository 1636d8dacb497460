"""The Kubernetes adapter keeps the contract."""

from __future__ import annotations

from mlinfra.testing import AdapterContract


class TestKubernetes(AdapterContract):
    adapter_name = "kubernetes"
    without_data = frozenset(
        {
            "kubernetes:core/v1:ConfigMap",
            "kubernetes:core/v1:Service",
            "kubernetes:core/v1:ServiceAccount",
            "kubernetes:networking.k8s.io/v1:NetworkPolicy",
        }
    )

"""Self-managed Kubernetes: KServe, Kubeflow Trainer, Feast, MLflow, Gateway API, the Prometheus operator."""

from mlinfra_providers.kubernetes.adapter import Kubernetes

__all__ = ["Kubernetes"]

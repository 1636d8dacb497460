"""One machine: Feast, a training subprocess, MLflow, the KServe server, Envoy, a supervisor, own drift measures."""

from mlinfra_providers.local.adapter import Local

__all__ = ["Local"]

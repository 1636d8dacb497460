"""How many replicas each release has: KEDA, by the requests that Prometheus counts.

Standard mode scales by CPU or memory itself, and by anything else through KEDA:
https://kserve.github.io/website/docs/model-serving/predictive-inference/autoscaling/keda-autoscaler
"""

from __future__ import annotations

from typing import Any

from mlinfra.declarations.endpoint import Scale
from mlinfra_providers.kubernetes.network import MONITORING
from mlinfra_providers.kubernetes.series import selector

PROMETHEUS = f"http://prometheus-operated.{MONITORING}.svc.cluster.local:9090"
"""The service that the Prometheus operator makes for a Prometheus."""


def scaling(scale: Scale, namespace: str, endpoint: str, release: str) -> tuple[str, dict[str, Any]]:
    """Return the class of the autoscaler, and the predictor's bounds."""
    bounds: dict[str, Any] = {"minReplicas": scale.min, "maxReplicas": scale.max}
    if scale.target_rps is None:
        return "none", bounds
    metric = {
        "type": "External",
        "external": {
            "metric": {
                "backend": "prometheus",
                "serverAddress": PROMETHEUS,
                "query": f"sum(rate(mlinfra_requests_total{{{selector(namespace, endpoint, release)}}}[1m]))",
            },
            "target": {"type": "AverageValue", "averageValue": f"{scale.target_rps:g}"},
        },
    }
    return "keda", {**bounds, "autoScaling": {"metrics": [metric]}}

"""By which labels Prometheus knows an endpoint's pods: those that its ServiceMonitor carries over."""

from __future__ import annotations

ENDPOINT, RELEASE = "mlinfra-endpoint", "mlinfra-release"
"""The labels of serving pods by which policies, budgets and Prometheus find them."""
VERSION = "mlinfra-version"
"""The label of serving pods that says from which declaration they were made."""


def selector(namespace: str, endpoint: str, release: str = "") -> str:
    """Return what selects the series of an endpoint's pods, or of one release's."""
    known = {"namespace": namespace, ENDPOINT: endpoint, **({RELEASE: release} if release else {})}
    return ",".join(f'{key.replace("-", "_")}="{value}"' for key, value in known.items())

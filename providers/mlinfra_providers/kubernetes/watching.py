"""Who watches an endpoint: a budget for disruptions, Prometheus, and alerts."""

from __future__ import annotations

import pulumi_kubernetes as k8s

from mlinfra.adapters import Deployment, Links, ResolvedPart
from mlinfra.declarations.endpoint import Endpoint
from mlinfra_providers.kubernetes.around import name_in_state
from mlinfra_providers.kubernetes.labelled import SERVICE_LIMIT, name, physical_name
from mlinfra_providers.kubernetes.naming import metadata, options
from mlinfra_providers.kubernetes.series import ENDPOINT, RELEASE, selector

MONITORING_API = "monitoring.coreos.com/v1"
METRICS_PORT = 8080
ERROR_SHARE = 0.05
"""The share of failed requests from which somebody is told."""


def budget(part: ResolvedPart, deployment: Deployment, links: Links) -> None:
    """Register that one pod of a release goes at a time when nodes are drained."""
    release = deployment.release.short
    k8s.policy.v1.PodDisruptionBudget(
        name_in_state(part, release),
        metadata=metadata(part, links, name(part.part, release, limit=SERVICE_LIMIT), also={RELEASE: release}),
        spec=k8s.policy.v1.PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=k8s.meta.v1.LabelSelectorArgs(match_labels={ENDPOINT: physical_name(part.part), RELEASE: release}),
        ),
        opts=options(links),
    )


def service_monitor(part: ResolvedPart, links: Links) -> None:
    """Register where Prometheus reads: every pod of every release, by the labels of both."""
    called = physical_name(part.part)
    k8s.apiextensions.CustomResource(
        name_in_state(part, "metrics"),
        api_version=MONITORING_API,
        kind="ServiceMonitor",
        metadata=metadata(part, links, called),
        spec={
            "selector": {"matchLabels": {ENDPOINT: called}},
            "podTargetLabels": [ENDPOINT, RELEASE],
            "endpoints": [{"targetPort": METRICS_PORT, "path": "/metrics", "interval": "15s"}],
        },
        opts=options(links),
    )


def alerts(part: ResolvedPart, links: Links) -> None:
    """Register what is told of an endpoint: failed requests, and that nobody answers."""
    assert isinstance(part.part, Endpoint)
    called = physical_name(part.part)
    chosen = selector(links.around.namespace, called)
    failed = f'sum(rate(mlinfra_requests_total{{{chosen},code=~"5.."}}[5m]))'
    every = f"sum(rate(mlinfra_requests_total{{{chosen}}}[5m]))"
    k8s.apiextensions.CustomResource(
        name_in_state(part, "alerts"),
        api_version=MONITORING_API,
        kind="PrometheusRule",
        metadata=metadata(part, links, called),
        spec={
            "groups": [
                {
                    "name": f"mlinfra.{called}",
                    "rules": [
                        rule(part, "MlinfraRequestsFail", f"{failed} / {every} > {ERROR_SHARE}", "5m"),
                        rule(part, "MlinfraNobodyAnswers", f"absent(up{{{chosen}}} == 1)", "5m"),
                    ],
                }
            ]
        },
        opts=options(links),
    )


def rule(part: ResolvedPart, alert: str, expression: str, for_: str) -> dict[str, object]:
    """Return one alert, with whose it is."""
    return {
        "alert": alert,
        "expr": expression,
        "for": for_,
        "labels": {"severity": "warning", "part": part.key},
        "annotations": {"summary": f"{alert}: {part.key}", "owner": part.owner},
    }

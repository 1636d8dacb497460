"""What the identity that runs `mlinfra up` needs in a cluster: `bootstrap` grants it to CI, `doctor` asks for it.

Verbs: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LOOK = ("get", "list", "watch")
_WRITE = (*_LOOK, "create", "update", "patch", "delete")


@dataclass(frozen=True)
class Rule:
    """Some verbs on the resources of one API group, in the environment's namespace; what they are for."""

    purpose: str
    group: str
    resources: Sequence[str]
    verbs: Sequence[str] = _WRITE


NEEDED = (
    Rule("parts", "serving.kserve.io", ("inferenceservices",)),
    Rule("parts", "trainer.kubeflow.org", ("trainingruntimes", "trainjobs")),
    Rule("parts", "feast.dev", ("featurestores",)),
    Rule("parts", "apps", ("deployments",)),
    Rule("parts", "batch", ("cronjobs", "jobs")),
    Rule("parts", "", ("configmaps", "persistentvolumeclaims", "services", "serviceaccounts")),
    Rule("traffic", "gateway.networking.k8s.io", ("httproutes",)),
    Rule("staying up", "policy", ("poddisruptionbudgets",)),
    Rule("network", "networking.k8s.io", ("networkpolicies",)),
    Rule("who may shift", "rbac.authorization.k8s.io", ("roles", "rolebindings")),
    Rule("bounds", "", ("limitranges", "resourcequotas")),
    Rule("watching", "monitoring.coreos.com", ("prometheusrules", "servicemonitors")),
    Rule("logs and events", "", ("events", "pods", "pods/log"), _LOOK),
)
"""Secrets are in none of these: the team makes them, and pods get them by their names."""

PLAN = tuple(Rule(rule.purpose, rule.group, rule.resources, _LOOK) for rule in NEEDED)
"""What a plan with the engine reads."""

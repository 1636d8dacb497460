"""When Feast is what was declared: only then rows are loaded, and brought online by the server with the new columns."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mlinfra_providers.kubernetes.feature_rows import _waits_for

SERVICES = {"podAnnotations": {"mlinfra/definitions": "3f9c2ab1d07e"}}
STORE: dict[str, Any] = {
    "spec": {"services": SERVICES},
    "status": {
        "phase": "Ready",
        "applied": {"services": SERVICES},
        "conditions": [{"type": "FeatureStore", "status": "True", "message": "ready"}],
        "serviceHostnames": {"onlineStore": "feast-planes-online.prod.svc.cluster.local:80"},
    },
}
DEPLOYMENT: dict[str, Any] = {
    "metadata": {"generation": 4},
    "spec": {"replicas": 2},
    "status": {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2},
}


def test_a_store_that_is_what_was_declared_is_waited_for_no_more() -> None:
    assert _waits_for(STORE, DEPLOYMENT, online=True) == ""
    assert _waits_for(STORE, None, online=True) == ""


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"phase": "Pending", "conditions": []}, "it is Pending"),
        ({"phase": None, "conditions": []}, "it is not there yet"),
        (
            {"phase": "Failed", "conditions": [{"type": "Registry", "status": "False", "message": "no Secret"}]},
            "no Secret",
        ),
        ({"applied": {"services": {"podAnnotations": {}}}}, "has not taken the new definitions"),
        ({"serviceHostnames": {}}, "has no address"),
    ],
)
def test_what_is_not_there_yet_is_said(status: dict[str, Any], words: str) -> None:
    found = copy.deepcopy(STORE)
    found["status"] |= status
    assert words in _waits_for(found, DEPLOYMENT, online=True)


def test_nothing_online_needs_no_address() -> None:
    found = copy.deepcopy(STORE)
    found["status"]["serviceHostnames"] = {}
    assert _waits_for(found, DEPLOYMENT, online=False) == ""


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 3},
        {"updatedReplicas": 1},
        {"readyReplicas": None},
        {"replicas": 3},
    ],
)
def test_old_pods_are_waited_for(status: dict[str, Any]) -> None:
    deployment = copy.deepcopy(DEPLOYMENT)
    deployment["status"] |= status
    assert _waits_for(STORE, deployment, online=True) == "its new pods are not ready"

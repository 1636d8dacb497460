"""What the pods of a release really run, and why they do not, where they do not.

A pod is what answers; its Deployment and InferenceService are what is wanted of it. Sources, at kubernetes.io/docs/
concepts: workloads/pods/pod-lifecycle (conditions, waiting reasons, last state), workloads/controllers/deployment/
#failed-deployment (ReplicaFailure: a quota); and https://github.com/kubernetes/autoscaler/blob/master/
cluster-autoscaler/FAQ.md (the event NotTriggerScaleUp: there will be no node).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlinfra.problems import MlinfraError
from mlinfra_providers.kubernetes.clients import Cluster
from mlinfra_providers.kubernetes.series import ENDPOINT, RELEASE, VERSION

CONTAINER = "kserve-container"
DIGEST = "MLINFRA_SERVING_MODEL_DIGEST"
READY_SECONDS = 900.0
"""How long an `up` waits for pods: a new node takes some minutes, an image of some gigabytes, too."""
_ASKING_SECONDS = 1.0
_STUCK = ("CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError")
_NO_NODE = ("NotTriggerScaleUp",)


@dataclass(frozen=True)
class Pods:
    """The pods of a release: how many are ready, and what these run. `serves` is empty where none is, or where they
    differ; `failure` is what keeps others from being ready, and `hopeless` that it does not go away by waiting."""

    there: int = 0
    ready: int = 0
    serves: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None
    hopeless: bool = False


def look(cluster: Cluster, endpoint: str, release: str, backend: str) -> Pods:
    """Return how the pods of a release are; `backend` is the name of their Deployment."""
    pods = cluster.pods(f"{ENDPOINT}={endpoint},{RELEASE}={release}")
    ready = [pod for pod in pods if _is(pod, "Ready")]
    run = [_run(pod) for pod in ready]
    failure, hopeless = _failure(cluster, backend, [pod for pod in pods if pod not in ready])
    same = bool(run) and all(item == run[0] for item in run)
    return Pods(len(pods), len(ready), run[0] if same else {}, failure, hopeless)


def wait_for(cluster: Cluster, endpoint: str, release: str, backend: str, serves: Mapping[str, str]) -> None:
    """Wait until all pods of a release are ready and run what is declared.

    Raises:
        MlinfraError: they will not, or did not in time; says why.
    """
    end = time.monotonic() + READY_SECONDS
    while True:
        found = look(cluster, endpoint, release, backend)
        if found.ready and found.ready == found.there and dict(found.serves) == dict(serves):
            return
        if found.hopeless or time.monotonic() > end:
            said = found.failure or f"after {READY_SECONDS:g} s its pods are not what is declared"
            raise MlinfraError(
                f"{endpoint}: {release} is not ready: {said}",
                remedy="mend that, and the next mlinfra up goes on from here",
            )
        time.sleep(_ASKING_SECONDS)


def _is(pod: Mapping[str, Any], kind: str) -> bool:
    return any(item["type"] == kind and item["status"] == "True" for item in _conditions(pod))


def _conditions(found: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    return ((found or {}).get("status") or {}).get("conditions") or ()


def _run(pod: Mapping[str, Any]) -> dict[str, str]:
    """Return the digest, the image and the version of the declaration that a pod runs."""
    server: Mapping[str, Any] = next((item for item in pod["spec"]["containers"] if item["name"] == CONTAINER), {})
    settings = {item["name"]: item.get("value") or "" for item in server.get("env") or ()}
    return {
        "artifact": settings.get(DIGEST, ""),
        "image": server.get("image", ""),
        "version": (pod["metadata"].get("labels") or {}).get(VERSION, ""),
    }


def _failure(cluster: Cluster, backend: str, pods: Sequence[Mapping[str, Any]]) -> tuple[str | None, bool]:
    """Return what keeps pods from being there or ready, and whether waiting does not help."""
    for item in _conditions(cluster.deployment(backend)):
        if item["type"] == "ReplicaFailure" and item["status"] == "True":
            return str(item.get("message") or item.get("reason")), True
    return stuck(cluster, pods)


def stuck(cluster: Cluster, pods: Sequence[Mapping[str, Any]]) -> tuple[str | None, bool]:
    """Return what keeps pods from running, or None, and whether waiting does not help."""
    waits: str | None = None
    for pod in pods:
        status = pod.get("status") or {}
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in _STUCK:
                last = ((container.get("lastState") or {}).get("terminated") or {}).get("message")
                said = (last or waiting.get("message") or "").strip()
                return f"{container['name']}: {waiting['reason']}: {said}", True
        for item in _conditions(pod):
            if item["type"] == "PodScheduled" and item["status"] == "False":
                told = [event for event in cluster.events(pod["metadata"]["name"]) if event["reason"] in _NO_NODE]
                waits = f"{item.get('reason')}: {item.get('message')}"
                if told:
                    return f"{waits}; {told[-1].get('message')}", True
    return waits, False

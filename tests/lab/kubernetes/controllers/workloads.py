"""Deployments and Jobs, CronJobs: who makes pods, and how many.

- Deployments: a rolling update makes new pods before it takes old ones away, and conditions say how far it is; a pod
  that the server refuses is the condition ReplicaFailure with the server's words
  (kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status). Pods belong to the Deployment
  itself: the lab has no ReplicaSets.
- Jobs: a pod that the server refuses is the event FailedCreate; one that fails is tried again `backoffLimit` times,
  `activeDeadlineSeconds` ends them all (DeadlineExceeded)
  (kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup).
- CronJobs make a Job on their schedule, `<name>-<minutes since 1970>`, each once
  (kubernetes.io/docs/concepts/workloads/controllers/cron-jobs).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from contextlib import suppress
from datetime import UTC, datetime

from tests.lab.kubernetes.client import Answered
from tests.lab.kubernetes.controllers.world import (
    Object,
    World,
    condition,
    conditions,
    copied,
    going,
    holds,
    owned_by,
)

HASH = "pod-template-hash"


def stamp() -> str:
    """Return the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def deployments(world: World) -> None:
    """Have the pods of every Deployment."""
    for deployment in world.all("deployments"):
        if not going(deployment):
            _deployment(world, deployment)


def _deployment(world: World, deployment: Object) -> None:
    spec, metadata = deployment["spec"], deployment["metadata"]
    wanted, template = spec.get("replicas", 1), spec["template"]
    known = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
    pods = [pod for pod in world.owned("pods", deployment) if not going(pod)]
    new = [pod for pod in pods if pod["metadata"]["labels"].get(HASH) == known]
    old = [pod for pod in pods if pod not in new]
    refused = None
    for _ in range(wanted - len(new)):
        body = pod_of(template, metadata["namespace"], f"{metadata['name']}-{known}-{_digits()}", deployment)
        body["metadata"]["labels"][HASH] = known
        refused = world.create("pods", body)
        if refused:
            break
    ready = [pod for pod in new if holds(pod, "Ready")]
    # maxUnavailable is 0 here: an old pod goes when there is a new one in its place
    going_now = max(0, len(old) + len(ready) - wanted) if len(ready) < wanted else len(old)
    surplus = sorted(new, key=lambda pod: holds(pod, "Ready"))[: max(0, len(new) - wanted)]
    for pod in [*sorted(old, key=lambda pod: holds(pod, "Ready"))[:going_now], *surplus]:
        world.delete("pods", pod)
    answering = sum(holds(pod, "Ready") for pod in pods)
    complete = len(ready) >= wanted and not old
    listed = [
        condition("Available", answering >= wanted, *_available(answering >= wanted)),
        condition("Progressing", True, "NewReplicaSetAvailable" if complete else "ReplicaSetUpdated"),
    ]
    if refused:
        listed.append(condition("ReplicaFailure", True, "FailedCreate", refused))
    status = {
        "observedGeneration": metadata["generation"],
        "replicas": len(pods),
        "updatedReplicas": len(new),
        "readyReplicas": answering,
        "availableReplicas": answering,
        "unavailableReplicas": max(0, wanted - answering),
        "conditions": conditions(deployment, listed, stamp()),
    }
    world.patch("deployments", deployment, {"status": status}, "/status")


def _available(holds_: bool) -> tuple[str, str]:
    if holds_:
        return "MinimumReplicasAvailable", "Deployment has minimum availability."
    return "MinimumReplicasUnavailable", "Deployment does not have minimum availability."


def pod_of(template: Object, namespace: str, name: str, owner: Object) -> Object:
    """Return a pod made of a template."""
    made = copied(template)
    metadata = made.setdefault("metadata", {})
    labels = dict(metadata.get("labels") or {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": owned_by(owner),
        },
        "spec": made["spec"],
    }


def _digits() -> str:
    return secrets.token_hex(3)[:5]


def jobs(world: World) -> None:
    """Run every Job until it is complete or has failed."""
    for job in world.all("jobs"):
        if not going(job) and not holds(job, "Complete") and not holds(job, "Failed"):
            _job(world, job)


def _job(world: World, job: Object) -> None:
    spec, metadata = job["spec"], job["metadata"]
    pods = world.owned("pods", job)
    failed = [pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
    done = [pod for pod in pods if pod.get("status", {}).get("phase") == "Succeeded"]
    active = [pod for pod in pods if pod not in failed and pod not in done]
    started = job.get("status", {}).get("startTime") or stamp()
    ended: Object | None = None
    if done:
        ended = condition("Complete", True, "CompletionsReached")
    elif len(failed) > spec.get("backoffLimit", 6):
        ended = condition("Failed", True, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    elif _age(started) > spec.get("activeDeadlineSeconds", 1 << 40):
        ended = condition("Failed", True, "DeadlineExceeded", "Job was active longer than specified deadline")
        for pod in active:
            world.delete("pods", pod)
        active = []
    elif not active and not spec.get("suspend"):
        body = pod_of(spec["template"], metadata["namespace"], f"{metadata['name']}-{_digits()}", job)
        body["metadata"]["labels"] |= {"batch.kubernetes.io/job-name": metadata["name"], "job-name": metadata["name"]}
        refused = world.create("pods", body)
        if refused:
            _tell(world, job, "FailedCreate", f"Error creating: {refused}")
        active = [] if refused else [body]
    status: Object = {"startTime": started, "active": len(active), "succeeded": len(done), "failed": len(failed)}
    if ended:
        now = stamp()
        # the server wants to be told first that it is about to end (validation of Job status)
        about = condition("SuccessCriteriaMet" if done else "FailureTarget", True, ended["reason"])
        status["conditions"] = [{**item, "lastProbeTime": now, "lastTransitionTime": now} for item in (about, ended)]
        if done:
            status["completionTime"] = now
    world.patch("jobs", job, {"status": status}, "/status")


def _tell(world: World, item: Object, reason: str, message: str) -> None:
    """Write an event about an object, once for each version of it."""
    about = {name: item["metadata"][name] for name in ("name", "namespace", "uid")}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about['name']}.{item['metadata']['resourceVersion']}", "namespace": about["namespace"]},
        "involvedObject": {"apiVersion": item["apiVersion"], "kind": item["kind"], **about},
        "reason": reason,
        "message": message,
        "type": "Warning",
        "firstTimestamp": stamp(),
        "lastTimestamp": stamp(),
        "source": {"component": "lab"},
    }
    with suppress(Answered):  # it is there already
        world.cluster.send("POST", f"/api/v1/namespaces/{about['namespace']}/events", event)


def _age(started: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds()


def cron_jobs(world: World) -> None:
    """Start what is due. Of `*/15 * * * *`, `0 */6 * * *` and `0 0 * * *` the lab knows what they mean."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for cron in world.all("cronjobs"):
        if going(cron) or cron["spec"].get("suspend") or not _due(cron["spec"]["schedule"], now):
            continue
        if datetime.fromisoformat(cron["metadata"]["creationTimestamp"]) > now:
            continue
        name = f"{cron['metadata']['name']}-{int(now.timestamp()) // 60}"
        if world.get("jobs", cron["metadata"]["namespace"], name) is None:
            world.create("jobs", job_of(cron, name))


def job_of(cron: Object, name: str) -> Object:
    """Return the Job that a CronJob makes, as `kubectl create job --from=cronjob/…` does, too."""
    template = copied(cron["spec"]["jobTemplate"])
    metadata = {**template.get("metadata", {}), "name": name, "namespace": cron["metadata"]["namespace"]}
    body = {"apiVersion": "batch/v1", "kind": "Job", "spec": template["spec"]}
    return {**body, "metadata": {**metadata, "ownerReferences": owned_by(cron)}}


def _due(schedule: str, now: datetime) -> bool:
    minute, hour, *_ = schedule.split()
    return _fits(minute, now.minute) and _fits(hour, now.hour)


def _fits(field: str, value: int) -> bool:
    if field.startswith("*/"):
        return value % int(field[2:]) == 0
    return field == "*" or value == int(field)

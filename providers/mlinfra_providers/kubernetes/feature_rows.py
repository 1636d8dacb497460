"""Rows of a feature store: a Job in its namespace loads them, for the team's database is reached from there alone.

The Job runs `mlinfra_serving.features.load` of the serving image. Its name is made of all that it is told, so that a
command that was killed finds its own Job again; one that has ended is made anew. Two loads of one store never run side
by side, or the older rows could come last. The account and the network of its pods are declared with the store.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.digests import digest_json, short
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra_providers.kubernetes.clients import FEATURE_STORES, JOBS, Cluster, Conflict
from mlinfra_providers.kubernetes.jobs import condition
from mlinfra_providers.kubernetes.labelled import (
    COMPONENT,
    LOAD,
    OWNER,
    STORE_LIMIT,
    loader_name,
    name,
    physical_name,
    project,
)
from mlinfra_providers.kubernetes.pods import LAST_WORDS, SCRATCH, STORE_SECRET, USER
from mlinfra_providers.kubernetes.truth import stuck
from mlinfra_providers.remote.ingest import Rows
from mlinfra_providers.short_names import short_name

READY_SECONDS = 600.0
"""How long Feast's servers may take to be what was declared."""
RUN_SECONDS = 3600
KEPT_SECONDS = 3600
"""How long a Job that ended stays to be looked at, where nobody deletes it."""
TIMES_AGAIN = 2
_ASKING_SECONDS = 1.0
_LIMIT = 63
_SHOWN = 5
_DATABASE = "/mlinfra/database"
_AMOUNTS = {"cpu": "1", "memory": "2048Mi"}
_SCRATCH_SIZE = "20Gi"
_HTTPS = ":443"
Say = Callable[[str], None]


class FeatureRows:
    """The stores of one namespace; implements `mlinfra_providers.remote.ingest.Writer`."""

    def __init__(self, cluster: Cluster, environment: Environment) -> None:
        self._cluster = cluster
        self._environment = environment

    def identity(self, part: ResolvedPart) -> str | None:
        """Return the uid of the FeatureStore."""
        found = self._cluster.get(FEATURE_STORES, name(part.part, limit=STORE_LIMIT))
        return str(found["metadata"]["uid"]) if found else None

    def write(self, part: ResolvedPart, rows: Rows, say: Say) -> None:
        """Load the rows, once Feast's servers are what was declared, and wait for the end.

        Raises:
            MlinfraError: Feast is not ready in time, or the Job failed; says what it printed last.
        """
        store = part.part
        assert isinstance(store, FeatureStore)
        found = self._ready(store, say)
        job = _job(part, store, rows, found, self._environment)
        called = job["metadata"]["name"]
        self._end_others(loader_name(store), called, say)
        try:
            self._cluster.create(JOBS, job)
        except Conflict:
            say(f"{store.name}: {called} loads these rows already")
        for line in self._ended(called, store, say):
            say(line)
        self._cluster.delete(JOBS, called)

    def _ready(self, store: FeatureStore, say: Say) -> Mapping[str, Any]:
        """Return the FeatureStore when its operator has made of it what is declared."""
        called, told, end = name(store, limit=STORE_LIMIT), "", time.monotonic() + READY_SECONDS
        while True:
            found = self._cluster.get(FEATURE_STORES, called)
            if found is None:
                raise MlinfraError(f"the FeatureStore {called} was deleted meanwhile", remedy="run it again")
            waits = _waits_for(found, self._cluster.deployment(f"feast-{called}"), online=store.online)
            if not waits:
                return found
            if time.monotonic() > end:
                raise MlinfraError(
                    f"{called}: Feast is not ready after {READY_SECONDS:g} s: {waits}",
                    remedy=f"look at kubectl describe featurestore {called}, and at its Secret {called}-database",
                )
            if waits != told:
                say(f"{store.name}: waits for Feast: {waits}")
                told = waits
            time.sleep(_ASKING_SECONDS)

    def _end_others(self, loader: str, called: str, say: Say) -> None:
        """Delete the Jobs of a store that have ended, and those of other rows; wait until their pods are gone."""
        chosen, end = f"{COMPONENT}={loader}", time.monotonic() + READY_SECONDS
        gone = [
            job["metadata"]["name"]
            for job in self._cluster.list(JOBS, chosen)
            if job["metadata"]["name"] != called or _has_ended(job)
        ]
        for other in gone:
            if other != called:
                say(f"{other} is ended: it loads other rows")
            self._cluster.delete(JOBS, other)
        while gone:
            left = {job["metadata"]["name"] for job in self._cluster.list(JOBS, chosen)}
            pods = [pod["metadata"].get("labels") or {} for pod in self._cluster.pods(chosen, going=True)]
            left |= {labels.get("batch.kubernetes.io/job-name", "") for labels in pods}
            gone = [other for other in gone if other in left]
            if gone and time.monotonic() > end:
                raise MlinfraError(f"{', '.join(gone)}: still there {READY_SECONDS:g} s after it was deleted")
            time.sleep(_ASKING_SECONDS if gone else 0)

    def _ended(self, called: str, store: FeatureStore, say: Say) -> Sequence[str]:
        """Wait for the end of a Job, and return what it printed."""
        told = ""
        while True:
            job = self._cluster.get(JOBS, called)
            if job is None:
                raise MlinfraError(f"{called} was deleted before it ended", remedy="run it again")
            pods = self._cluster.pods(f"batch.kubernetes.io/job-name={called}")
            if condition(job, "Complete"):
                return self._lines(pods)
            if failed := condition(job, "Failed"):
                said = "\n".join(self._lines(pods)[-_SHOWN:])
                why = failed.get("message") or failed.get("reason")
                raise MlinfraError(
                    f"{called} failed: {why}\n{said}".rstrip(),
                    remedy=f"mend it, then mlinfra up {self._environment.name} loads the rows again",
                )
            waits, hopeless = stuck(self._cluster, pods) if pods else (self._refused(called), False)
            if hopeless:
                self._cluster.delete(JOBS, called)
                raise MlinfraError(f"{called} does not run: {waits}", remedy="mend that, and the next mlinfra up loads")
            if waits and waits != told:
                say(f"{store.name}: {called} waits: {waits}")
                told = waits
            time.sleep(_ASKING_SECONDS)

    def _refused(self, called: str) -> str | None:
        """Return why a Job gets no pod: the cluster's words, such as those of a quota that is full."""
        told = [event for event in self._cluster.events(called) if event["reason"] == "FailedCreate"]
        return str(told[-1].get("message")) if told else None

    def _lines(self, pods: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return what the newest pod printed."""
        newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)
        return self._cluster.log(newest["metadata"]["name"], LOAD).splitlines() if newest else []


def _has_ended(job: Mapping[str, Any]) -> bool:
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def _waits_for(found: Mapping[str, Any], deployment: Mapping[str, Any] | None, *, online: bool) -> str:
    """Return what is not yet as it is declared, in words; nothing when all is.

    The operator writes what it took into `status.applied`, and its one Deployment then replaces the pods: the old
    server would bring the old columns online.
    """
    status = found.get("status") or {}
    wanted = ((found.get("spec") or {}).get("services") or {}).get("podAnnotations")
    taken = ((status.get("applied") or {}).get("services") or {}).get("podAnnotations")
    if status.get("phase") != "Ready":
        said = [item["message"] for item in status.get("conditions") or () if item["status"] != "True"]
        return "; ".join(filter(None, said)) or f"it is {status.get('phase') or 'not there yet'}"
    if wanted != taken:
        return "the operator has not taken the new definitions"
    if online and not (status.get("serviceHostnames") or {}).get("onlineStore"):
        return "its online server has no address"
    if deployment is not None:
        made, replicas = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
        counts = [made.get(count) or 0 for count in ("replicas", "updatedReplicas", "readyReplicas")]
        current = (made.get("observedGeneration") or 0) >= deployment["metadata"]["generation"]
        if not current or counts != [replicas] * len(counts):
            return "its new pods are not ready"
    return ""


def _job(
    part: ResolvedPart, store: FeatureStore, rows: Rows, found: Mapping[str, Any], environment: Environment
) -> dict[str, Any]:
    """Return the Job: its pod is of the restricted Pod Security Standard, as those of pods.py are.

    What pods.py returns becomes JSON inside of a Pulumi program alone.
    """
    assert environment.images is not None
    loader, stored = loader_name(store), found["metadata"]
    labels = {**(stored.get("labels") or {}), COMPONENT: loader}
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    container = {
        "name": LOAD,
        "image": environment.images.serving,
        "command": ["python", "-m", "mlinfra_serving.features.load"],
        "env": [
            {"name": f"MLINFRA_FEATURES_{key}", "value": value} for key, value in _told(store, rows, found).items()
        ],
        "envFrom": [{"secretRef": {"name": STORE_SECRET, "optional": True}}],
        "resources": {"requests": _AMOUNTS, "limits": _AMOUNTS},
        "securityContext": {
            **security,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": LAST_WORDS,
        "volumeMounts": [
            {"name": "database", "mountPath": _DATABASE, "readOnly": True},
            {"name": SCRATCH, "mountPath": "/tmp"},
        ],
    }
    secret = {"secretName": f"{stored['name']}-database", "items": [{"key": "postgres", "path": "postgres"}]}
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": loader,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {**security, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER},
        "containers": [container],
        "volumes": [
            {"name": "database", "secret": secret},
            {"name": SCRATCH, "emptyDir": {"sizeLimit": _SCRATCH_SIZE}},
        ],
    }
    spec = {
        "activeDeadlineSeconds": RUN_SECONDS,
        "backoffLimit": TIMES_AGAIN,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    told = short(digest_json({"spec": spec, "store": stored["uid"]}))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": short_name(physical_name(store), LOAD, told, limit=_LIMIT),
            "labels": labels,
            "annotations": {OWNER: part.owner},
        },
        "spec": spec,
    }


def _told(store: FeatureStore, rows: Rows, found: Mapping[str, Any]) -> dict[str, str]:
    """Return what the loader reads, by the ends of its variables' names (mlinfra_serving.features.settings)."""
    columns = {store.entity.name: store.entity.key, store.event_time: "timestamp"}
    columns |= {feature.name: feature.type for feature in store.features}
    told = {
        "ROWS": rows.tree.url,
        "DIGEST": rows.tree.digest,
        "TABLE": project(name(store, limit=STORE_LIMIT)),
        "COLUMNS": json.dumps(columns),
        "ENTITY": store.entity.name,
        "EVENT_TIME": store.event_time,
        "DATABASE": f"{_DATABASE}/postgres",
    }
    if store.online:
        server = str(found["status"]["serviceHostnames"]["onlineStore"])
        told["SERVER"] = f"https://{server}" if server.endswith(_HTTPS) else f"http://{server}"
    return told

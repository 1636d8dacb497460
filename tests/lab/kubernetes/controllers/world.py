"""What is in the cluster, as controllers know it: lists that watches keep up to date, and writes that can be repeated.

Controllers work level-triggered: each looks at everything after each change, and does what is not done yet
(https://kubernetes.io/docs/concepts/architecture/controller). Watches: https://kubernetes.io/docs/reference/using-api/
api-concepts/#efficient-detection-of-changes.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from tests.lab.kubernetes.client import Answered, Cluster

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
KINDS = {
    "namespaces": "/api/v1",
    "pods": "/api/v1",
    "services": "/api/v1",
    "secrets": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "resourcequotas": "/api/v1",
    "deployments": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "cronjobs": "/apis/batch/v1",
    "inferenceservices": "/apis/serving.kserve.io/v1beta1",
    "trainingruntimes": "/apis/trainer.kubeflow.org/v1alpha1",
    "trainjobs": "/apis/trainer.kubeflow.org/v1alpha1",
    "featurestores": "/apis/feast.dev/v1",
    "gateways": "/apis/gateway.networking.k8s.io/v1",
    "httproutes": "/apis/gateway.networking.k8s.io/v1",
}
"""What is watched, by the plural of its kind."""
GONE, CONFLICT, FORBIDDEN = 404, 409, 403
TOO_MANY, UNAVAILABLE = 429, 503


class World:
    """The objects of the cluster. What `all` and `get` return is a copy of nobody's: change copies only."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.changed = threading.Event()
        self._lock = threading.Lock()
        self._known: dict[str, dict[tuple[str, str], Object]] = {plural: {} for plural in KINDS}
        self._asked: dict[tuple[str, str, str], tuple[str, str]] = {}

    def watch(self) -> None:
        """List everything once, then follow what changes."""
        for plural in KINDS:
            version = self._first(plural)
            threading.Thread(target=self._follow, args=(plural, version), daemon=True).start()

    def all(self, plural: str, namespace: str | None = None) -> list[Object]:
        """Return the objects of a kind, oldest name first."""
        with self._lock:
            found = sorted(self._known[plural].items())
        return [item for (inside, _), item in found if namespace is None or inside == namespace]

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        with self._lock:
            return self._known[plural].get((namespace, name))

    def owned(self, plural: str, owner: Object) -> list[Object]:
        """Return the objects of a kind that belong to another."""
        uid = owner["metadata"]["uid"]
        found = self.all(plural, owner["metadata"]["namespace"])
        return [item for item in found if any(ref["uid"] == uid for ref in item["metadata"].get("ownerReferences", ()))]

    def create(self, plural: str, body: Object) -> str | None:
        """Create an object, or find it created; return what the server has against it."""
        try:
            made = self.cluster.send("POST", path(plural, body["metadata"].get("namespace")), body)
        except Answered as answered:
            return None if answered.code == CONFLICT else str(answered)
        self._put(plural, made)
        return None

    def apply(self, plural: str, body: Object) -> None:
        """Apply an object on the server's side; what others own of it stays."""
        at = f"{path(plural, body['metadata'].get('namespace'))}/{body['metadata']['name']}"
        query = {"fieldManager": "lab", "force": "true"}
        try:
            made = self.cluster.send("PATCH", at, body, kind="application/apply-patch+yaml", **query)
        except Answered as answered:
            if answered.code not in (GONE, CONFLICT, FORBIDDEN):
                raise
            return
        self._put(plural, made)

    def patch(self, plural: str, found: Object, change: Object, part: str = "") -> None:
        """Change an object, or its `/status`, unless it says that already or is gone."""
        about = (plural, found["metadata"]["uid"], part)
        asked = (json.dumps(change, sort_keys=True), found["metadata"]["resourceVersion"])
        # the server may write a value in another way than it was given
        if _says(found, change) or self._asked.get(about) == asked:
            return
        try:
            body = self.cluster.send("PATCH", self._at(plural, found) + part, change, kind=MERGE, fieldManager="lab")
        except Answered as answered:
            if answered.code not in (GONE, CONFLICT):
                raise
            return
        self._asked[about] = (asked[0], body["metadata"]["resourceVersion"])
        self._put(plural, body)

    def delete(self, plural: str, found: Object, grace: int | None = None) -> None:
        """Delete an object, or find it gone."""
        options = {"propagationPolicy": "Background", **({} if grace is None else {"gracePeriodSeconds": grace})}
        try:
            self.cluster.send("DELETE", self._at(plural, found), options)
        except Answered as answered:
            if answered.code not in (GONE, CONFLICT):
                raise

    def _at(self, plural: str, found: Object) -> str:
        return f"{path(plural, found['metadata'].get('namespace'))}/{found['metadata']['name']}"

    def _put(self, plural: str, item: Object) -> None:
        key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        with self._lock:
            known = self._known[plural].get(key)
            if known is None or _version(known) <= _version(item):
                self._known[plural][key] = item

    def _first(self, plural: str) -> str:
        """List a kind whose storage may just begin: the server says so for some seconds."""
        while True:
            try:
                return self._list(plural)
            except Answered as answered:
                if answered.code not in (TOO_MANY, UNAVAILABLE):
                    raise
                threading.Event().wait(0.2)

    def _list(self, plural: str) -> str:
        listed = self.cluster.get(f"{KINDS[plural]}/{plural}") or {"items": [], "metadata": {"resourceVersion": "0"}}
        with self._lock:
            self._known[plural] = {
                (item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in listed["items"]
            }
        self.changed.set()
        return str(listed["metadata"]["resourceVersion"])

    def _follow(self, plural: str, version: str) -> None:
        while True:
            try:
                for event in self._events(plural, version):
                    if event["type"] == "ERROR":
                        break
                    item = event["object"]
                    version = item["metadata"]["resourceVersion"]
                    if event["type"] == "DELETED":
                        with self._lock:
                            self._known[plural].pop(
                                (item["metadata"].get("namespace", ""), item["metadata"]["name"]), None
                            )
                    elif event["type"] != "BOOKMARK":
                        self._put(plural, item)
                    self.changed.set()
                version = self._list(plural)
            except (httpx.HTTPError, Answered, ValueError):
                threading.Event().wait(0.5)

    def _events(self, plural: str, version: str) -> Iterator[Any]:
        query = {"watch": "true", "resourceVersion": version}
        with self.cluster.stream(f"{KINDS[plural]}/{plural}", query) as lines:
            for line in lines:
                if line.strip():
                    yield json.loads(line)


def path(plural: str, namespace: str | None) -> str:
    """Return where the objects of a kind are."""
    return f"{KINDS[plural]}/namespaces/{namespace}/{plural}" if namespace else f"{KINDS[plural]}/{plural}"


def owned_by(owner: Object) -> list[Object]:
    """Return the reference that lets an object go with its owner
    (kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents)."""
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
    return [{**reference, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]


def going(item: Object) -> bool:
    """Say whether an object is being deleted."""
    return "deletionTimestamp" in item["metadata"]


def condition(kind: str, holds: bool | None, reason: str = "", message: str = "") -> Object:
    """Return a condition as all kinds have them."""
    status = "Unknown" if holds is None else str(holds)
    said = {"reason": reason} if reason else {}
    return {"type": kind, "status": status, **said, **({"message": message} if message else {})}


def conditions(found: Object, wanted: list[Object], now: str) -> list[Object]:
    """Return the wanted conditions, each with when it came to say what it says."""
    known = {item["type"]: item for item in found.get("status", {}).get("conditions") or ()}
    made = []
    for item in wanted:
        before = known.get(item["type"], {})
        same = before.get("status") == item["status"]
        made.append({**item, "lastTransitionTime": before.get("lastTransitionTime", now) if same else now})
    return made


def holds(item: Mapping[str, Any], kind: str) -> bool:
    """Say whether a condition of an object is true."""
    listed = item.get("status", {}).get("conditions") or ()
    return any(found["type"] == kind and found["status"] == "True" for found in listed)


def _version(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])


def _says(found: Any, change: Any) -> bool:
    if isinstance(change, dict):
        if not isinstance(found, dict):
            return False
        return all(
            key not in found if value is None else key in found and _says(found[key], value)
            for key, value in change.items()
        )
    return bool(found == change)


def copied(item: Object) -> Object:
    """Return a copy that may be changed."""
    return copy.deepcopy(item)

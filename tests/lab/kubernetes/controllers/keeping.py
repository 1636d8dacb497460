"""What keeps a cluster tidy: garbage collection, the end of namespaces, claims, and what a quota says is used.

- What an object owns goes after it (kubernetes.io/docs/concepts/architecture/garbage-collection).
- A namespace that is deleted loses all that is in it, then its finalizer (kubernetes.io/docs/concepts/overview/
  working-with-objects/namespaces; API reference: Namespace finalize).
- A claim is bound to a new volume, and stays while a pod uses it (kubernetes.io/docs/concepts/storage/
  persistent-volumes/#binding, #storage-object-in-use-protection). The lab makes no PersistentVolume.
- The server itself refuses what goes beyond a quota; it reads `status.hard`, which a controller writes
  (kubernetes.io/docs/concepts/policy/resource-quotas).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.lab.kubernetes.client import Answered, Cluster
from tests.lab.kubernetes.controllers.world import KINDS, MERGE, Object, World, going

PROTECTED = "kubernetes.io/pvc-protection"
FULL = "lab-full"
"""The quota that lets no more pods in."""


def garbage(world: World) -> None:
    """Delete what was owned by what is gone."""
    there = {item["metadata"]["uid"] for plural in KINDS for item in world.all(plural)}
    for plural in KINDS:
        for item in world.all(plural):
            owners = item["metadata"].get("ownerReferences") or ()
            if owners and not going(item) and not any(owner["uid"] in there for owner in owners):
                world.delete(plural, item)


def namespaces(world: World) -> None:
    """Empty each namespace that is being deleted, and let it go."""
    for namespace in world.all("namespaces"):
        if not going(namespace) or "kubernetes" not in namespace["spec"].get("finalizers", ()):
            continue
        name, left = namespace["metadata"]["name"], 0
        live = world.cluster.get(f"/api/v1/namespaces/{name}")
        if live is None or live["metadata"]["uid"] != namespace["metadata"]["uid"]:
            continue  # another one has its name already
        for base, plural in namespaced(world.cluster):
            listed = world.cluster.get(f"{base}/namespaces/{name}/{plural}")
            for item in (listed or {}).get("items") or ():
                left += 1
                if "deletionTimestamp" not in item["metadata"]:
                    _delete(world.cluster, f"{base}/namespaces/{name}/{plural}/{item['metadata']['name']}")
        if left == 0:
            at = f"/api/v1/namespaces/{name}/finalize"
            world.cluster.send("PUT", at, {**namespace, "spec": {**namespace["spec"], "finalizers": []}})


def _delete(cluster: Cluster, at: str) -> None:
    try:
        cluster.send("DELETE", at, {"propagationPolicy": "Background"})
    except Answered as answered:
        if answered.code not in (404, 405, 409):
            raise


@cache
def namespaced(cluster: Cluster) -> list[tuple[str, str]]:
    """Return where each kind is that lives in a namespace and can be listed and deleted."""
    versions = [("/api/v1", "v1")]
    groups: Any = cluster.get("/apis")
    versions += [
        (f"/apis/{group['preferredVersion']['groupVersion']}", group["name"])
        for group in groups["groups"]
        if group["name"] not in ("events.k8s.io", "apiregistration.k8s.io")
    ]
    return [
        (base, item["name"])
        for base, _ in versions
        for item in (cluster.get(base) or {"resources": ()})["resources"]
        if item["namespaced"] and "/" not in item["name"] and {"list", "delete"} <= set(item["verbs"])
    ]


def claims(world: World) -> None:
    """Bind every claim; let go of those that nobody uses."""
    for claim in world.all("persistentvolumeclaims"):
        if not going(claim):
            status = {"phase": "Bound", "accessModes": claim["spec"]["accessModes"]}
            world.patch("persistentvolumeclaims", claim, {"status": status}, "/status")
            continue
        used = any(_uses(pod, claim) for pod in world.all("pods", claim["metadata"]["namespace"]))
        if not used and PROTECTED in claim["metadata"].get("finalizers", ()):
            kept = [name for name in claim["metadata"]["finalizers"] if name != PROTECTED]
            world.patch("persistentvolumeclaims", claim, {"metadata": {"finalizers": kept or None}})


def _uses(pod: Object, claim: Object) -> bool:
    names = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["spec"].get("volumes", ())]
    return claim["metadata"]["name"] in names


def quotas(world: World) -> None:
    """Let every quota count."""
    for quota in world.all("resourcequotas"):
        pods = [pod for pod in world.all("pods", quota["metadata"]["namespace"]) if _counts(pod)]
        used = {name: _used(name, pods) for name in quota["spec"]["hard"]}
        status = quota.get("status", {})
        if status.get("hard") == quota["spec"]["hard"] and _same(status.get("used"), used):
            continue
        body = {"status": {"hard": quota["spec"]["hard"], "used": used}}
        at = f"/api/v1/namespaces/{quota['metadata']['namespace']}/resourcequotas/{quota['metadata']['name']}/status"
        world.cluster.send("PATCH", at, body, kind=MERGE)


def _counts(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def _same(known: Any, used: dict[str, str]) -> bool:
    return known is not None and all(_amount(known.get(name, "0")) == _amount(used[name]) for name in used)


def _used(name: str, pods: list[Object]) -> str:
    if name == "pods":
        return str(len(pods))
    kind, _, resource = name.partition(".")
    if kind not in ("requests", "limits"):
        return "0"
    return f"{sum(_of_pod(pod, kind, resource) for pod in pods):g}"


def _of_pod(pod: Object, kind: str, resource: str) -> float:
    """Return what a pod takes: its containers together, or its greediest init step."""

    def asked(containers: list[Object]) -> list[float]:
        return [_amount(item.get("resources", {}).get(kind, {}).get(resource, "0")) for item in containers]

    together = sum(asked(pod["spec"]["containers"]))
    return max([together, *asked(pod["spec"].get("initContainers", []))])


_UNITS = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9}


def _amount(text: str) -> float:
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    return float(text)


def fill(world: World, full: bool) -> None:
    """Let no more pods in, or again, in every namespace that mlinfra has made or uses."""
    for namespace in world.all("namespaces"):
        name = namespace["metadata"]["name"]
        known = world.get("resourcequotas", name, FULL)
        if not full and known is not None:
            world.delete("resourcequotas", known)
        elif full and known is None and not going(namespace) and not name.startswith("kube-"):
            about = {"name": FULL, "namespace": name}
            spec = {"hard": {"pods": "0"}}
            world.create(
                "resourcequotas", {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": about, "spec": spec}
            )

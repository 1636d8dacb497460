"""Kubernetes in the lab: manifests of pulumi_kubernetes, applied to a real API server by its own server-side apply.

A preview is the server's own dry run. What the real provider does and is done here, too:
- generated names with the annotation `pulumi.com/autonamed`; a field that another manager owns is a conflict unless
  `pulumi.com/patchForce` says otherwise
  (https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply);
- ConfigMaps and Secrets are replaced when their data change (`enableConfigMapMutable` of pulumi_kubernetes.Provider);
- whatever else the server calls immutable is a replacement, too.
It does not wait until workloads are ready, and does what controllers would where none run.
"""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path
from typing import Any

from tests.lab.cloud import Answer, Cloud, Live, Question, Refused
from tests.lab.kubernetes.client import Answered, Cluster, Kind
from tests.lab.wire import UNKNOWN, Properties, has_unknown

AUTONAMED = "pulumi.com/autonamed"
FORCE = "pulumi.com/patchForce"
REPLACED = {"ConfigMap": {"data", "binaryData"}, "Secret": {"data", "stringData", "type"}}
IMMUTABLE = ("immutable", "may not change once set", "cannot change roleRef")
"""How the server says that a field cannot change."""

SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
WAIT_SECONDS = 60.0
CONTROLLED = "LAB_KUBERNETES_CONTROLLERS"
"""Says that controllers run (controllers/): they finalize what is deleted."""


class Kubernetes(Cloud):
    """The provider `kubernetes`."""

    derived = {"data": "stringData"}  # noqa: RUF012  read only

    def __init__(self) -> None:
        self._path = os.environ.get("KUBECONFIG", "")
        self._namespace = "default"
        self._mutable = False
        self._found: Cluster | None = None

    def configure(self, settings: Properties) -> None:
        """Take the kubeconfig, by path, and the namespace of what names none."""
        self._path = settings.get("kubeconfig", self._path)
        self._namespace = settings.get("namespace", self._namespace)
        self._mutable = str(settings.get("enableConfigMapMutable", "")).lower() == "true"

    @property
    def _cluster(self) -> Cluster:
        if self._found is None:
            if not Path(self._path).is_file():
                raise Refused(f"there is no kubeconfig at {self._path!r}")
            self._found = Cluster.of(Path(self._path))
        return self._found

    def _kind(self, manifest: Properties) -> Kind:
        version, name = manifest["apiVersion"], manifest["kind"]
        kind = self._cluster.kind(version, name)
        if kind is None:
            raise Refused(f'no matches for kind "{name}" in version "{version}"')
        return kind

    def check(self, question: Question) -> Answer:
        """Generate a name and fill in the namespace; the rest is judged by the server."""
        inputs = dict(question.inputs)
        if "apiVersion" not in inputs or "kind" not in inputs:
            raise Refused(f"the lab has no {question.token!r}: only manifests")
        metadata = dict(inputs.get("metadata") or {})
        if "name" not in metadata:
            old = question.old.get("metadata", {})
            kept = old.get("name") if AUTONAMED in old.get("annotations", {}) else None
            metadata["name"] = kept or f"{question.name}-{question.suffix(8)}"
            metadata["annotations"] = {**metadata.get("annotations", {}), AUTONAMED: "true"}
        if self._kind(inputs).namespaced:
            metadata.setdefault("namespace", self._namespace)
        return Answer({**inputs, "metadata": metadata})

    def replaces(self, token: str, id_: str, old: Properties, new: Properties, changed: set[str]) -> set[str]:
        """What is known to be replaced, and what the server calls immutable."""
        fixed = set() if self._mutable and new["kind"] == "ConfigMap" else REPLACED.get(new["kind"], set())
        found = changed & ({"apiVersion", "kind"} | fixed)
        if any(old["metadata"].get(name) != new["metadata"].get(name) for name in ("name", "namespace")):
            found.add("metadata")
        if found or has_unknown(new):
            return found
        try:
            self._cluster.apply(self._at(new), _manifest(new), dry=True, force=True)
        except Answered as answered:
            fields = [field for field, message in answered.causes if any(words in message for words in IMMUTABLE)]
            return {field.partition(".")[0] for field in fields} & changed or (changed if fields else set())
        return set()

    def deletes_first(self, token: str, old: Properties, new: Properties) -> bool:
        """A name that was not generated cannot be had twice."""
        same = all(old["metadata"].get(name) == new["metadata"].get(name) for name in ("name", "namespace"))
        return same and AUTONAMED not in new["metadata"].get("annotations", {})

    def _at(self, manifest: Properties) -> str:
        metadata = manifest["metadata"]
        return self._kind(manifest).path(metadata.get("namespace"), metadata["name"])

    def planned(self, token: str, id_: str | None, inputs: Properties) -> Properties:
        """Let the server say whether it would take it; in a namespace that is there, while its own is not."""
        if has_unknown(inputs):
            self._kind(inputs)
            return inputs
        try:
            self._apply(inputs, dry=True)
        except Answered as answered:
            if answered.code != 404 or "namespaces" not in str(answered):
                raise _refused(answered) from answered
            elsewhere = {**inputs, "metadata": {**inputs["metadata"], "namespace": "default"}}
            try:
                self._apply(elsewhere, dry=True)
            except Answered as second:
                raise _refused(second) from second
        return inputs

    def _apply(self, inputs: Properties, *, dry: bool = False) -> Any:
        force = str(inputs["metadata"].get("annotations", {}).get(FORCE, "")).lower() == "true"
        return self._cluster.apply(self._at(inputs), _manifest(inputs), dry=dry, force=force)

    def create(self, token: str, inputs: Properties) -> tuple[str, Properties]:
        try:
            made = self._apply(inputs)
        except Answered as answered:
            raise _refused(answered) from answered
        metadata = made["metadata"]
        id_ = f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]
        return id_, _outputs(made, inputs)

    def read(self, token: str, id_: str, inputs: Properties) -> Live | None:
        """Compare what is there with what applying the inputs once more would make of it."""
        given = inputs or _named(token, id_)
        live = self._cluster.get(self._at(given))
        if live is None or "deletionTimestamp" in live["metadata"]:
            return None
        if not inputs:
            kept = {key: value for key, value in live.items() if key != "status"}
            return Live(_outputs(kept, {}), _outputs(live, {}))
        try:
            wanted = self._cluster.apply(self._at(inputs), _manifest(inputs), dry=True, force=True)
        except Answered:
            wanted = inputs
        found = _drifted(inputs, wanted, live)
        if "stringData" in inputs and wanted.get("data") != live.get("data"):
            decoded = {key: base64.b64decode(value).decode() for key, value in live.get("data", {}).items()}
            found["stringData"] = {key: decoded[key] for key in inputs["stringData"] if key in decoded}
        return Live(found, _outputs(live, found))

    def update(self, token: str, id_: str, old: Properties, new: Properties) -> Properties:
        try:
            return _outputs(self._apply(new), new)
        except Answered as answered:
            raise _refused(answered) from answered

    def delete(self, token: str, id_: str, inputs: Properties) -> None:
        """Delete, and do what a controller would: finalize a namespace, take off the server's own finalizers."""
        path = self._at(inputs)
        if self._cluster.get(path) is None:
            return
        try:
            self._cluster.send("DELETE", path, {"propagationPolicy": "Background"})
            end = time.monotonic() + WAIT_SECONDS
            while (left := self._cluster.get(path)) is not None:
                if time.monotonic() > end:
                    raise Refused(f"{id_} is still there, with finalizers {left['metadata'].get('finalizers')}")
                self._finalize(path, left)
        except Answered as answered:
            if answered.code != 404:
                raise _refused(answered) from answered

    def _finalize(self, path: str, left: Properties) -> None:
        if os.environ.get(CONTROLLED):
            time.sleep(0.1)
            return
        if left["kind"] == "Namespace":
            self._cluster.send("PUT", f"{path}/finalize", {**left, "spec": {"finalizers": []}})
        own = [name for name in left["metadata"].get("finalizers", []) if not name.startswith("kubernetes.io/")]
        body = {"metadata": {"finalizers": own or None}}
        self._cluster.send("PATCH", path, body, kind="application/merge-patch+json")


def _manifest(inputs: Properties) -> Properties:
    return {key: value for key, value in inputs.items() if key != "status"}


def _refused(answered: Answered) -> Refused:
    """Return the server's answer, each wrong field on a line of its own."""
    if answered.code == 409 and "conflict" in str(answered):
        return Refused(f"Server-Side Apply field conflict detected: {answered}")
    listed = [f"{field}: {message}" for field, message in answered.causes if field]
    return Refused("\n".join(listed) if listed and answered.code == 422 else str(answered))


def _outputs(live: Properties, inputs: Properties) -> Properties:
    metadata = {key: value for key, value in live["metadata"].items() if key not in SERVERS_OWN}
    written = {key: inputs[key] for key in ("stringData",) if key in inputs}
    return {**live, **written, "metadata": metadata}


def _named(token: str, id_: str) -> Properties:
    """Return what a token and an id say of an object that is imported: `kubernetes:apps/v1:Deployment`."""
    _, version, kind = token.split(":")
    namespace, _, name = id_.rpartition("/")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version.removeprefix("core/"), "kind": kind, "metadata": metadata}


def _drifted(given: Any, wanted: Any, live: Any) -> Any:
    """Return the inputs with what is not as they would make it: the server writes `0.5` as `500m`."""
    if wanted == live or given == UNKNOWN:
        return given
    if isinstance(given, dict) and isinstance(live, dict):
        seen = wanted if isinstance(wanted, dict) else {}
        return {
            key: _drifted(value, seen.get(key), live.get(key))
            for key, value in given.items()
            if key in live or key not in seen
        }
    if isinstance(given, list) and isinstance(live, list) and isinstance(wanted, list):
        if len(given) == len(live) == len(wanted):
            return [_drifted(*items) for items in zip(given, wanted, live, strict=True)]
        return live
    return given if live is None else live

"""What Kubernetes cannot do, with reason and way out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.problems import Problem
from mlinfra_providers.kubernetes.cron import cron
from mlinfra_providers.refusing import Refuser

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SHARED = frozenset({"default"})
_STORES = ("s3://", "gs://", "gcs://", "az://", "abfs://", "abfss://", "azblob://", "http://", "https://")
"""What pods can read with the libraries of the images."""
_REFUSER = Refuser("kubernetes")


def refuse_place(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Yield (field, reason, way out) for what is missing of a cluster, or not written as Kubernetes writes it."""
    if environment.context is None:
        reason = "needs the context of the kubeconfig, so that nothing is made in another cluster"
        yield "context", reason, "write context: …, one of `kubectl config get-contexts`"
    if environment.images is None:
        yield "images", "runs containers, and none is named", "write images: {serving: …@sha256:…, training: …}"
    if environment.namespace is not None:
        if environment.namespace in _SHARED or environment.namespace.startswith("kube-"):
            yield "namespace", "is shared by all, and no place for this", "write namespace: flights"
        elif not _NAMESPACE.fullmatch(environment.namespace):
            yield "namespace", "takes lower-case letters, digits and hyphens, 63 at most", "write namespace: flights"
    if environment.artifacts is not None and not environment.artifacts.startswith(_STORES):
        yield "artifacts", "cannot be read by pods", "write artifacts: s3://bucket/prefix"
    if environment.state is not None and environment.state.startswith("file://"):
        yield "state", "cannot use what is on this machine", "write state: s3://bucket/prefix"
    if wrong := sorted(key for key in environment.tags if not _KEY.fullmatch(key)):
        yield "tags", f"become labels, and {wrong[0]!r} is no key of one", "use letters, digits, '-', '_' and '.'"


def refuse_part(part: Part, environment: Environment) -> Iterator[Problem]:
    """Yield a problem for each value of a part that Kubernetes cannot honour."""
    if isinstance(part, Endpoint):
        yield from _endpoint(part)
    elif isinstance(part, DriftMonitor):
        yield from _drift_monitor(part)


def _endpoint(endpoint: Endpoint) -> Iterator[Problem]:
    yield from _REFUSER.custom_runtime(endpoint)
    yield from _REFUSER.nothing_at_rest(endpoint, "without Knative nobody holds a request back until there is a pod")


def _drift_monitor(monitor: DriftMonitor) -> Iterator[Problem]:
    yield from _REFUSER.schedule(monitor, "every", monitor.every, cron, _NO_SCHEDULE)
    reason = "a NetworkPolicy names no host to post to; drift is an alert of Prometheus, which can"
    yield from _REFUSER.webhook(monitor, reason)
    yield from _REFUSER.native(monitor, "neither Kubernetes nor KServe has a monitor of its own")


_NO_SCHEDULE = "a CronJob keeps minutes that divide an hour, hours that divide a day, and one day"

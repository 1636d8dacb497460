"""The official client, for one context of the kubeconfig. It is imported when the first question is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from mlinfra.problems import MlinfraError

ROUTES = ("gateway.networking.k8s.io", "v1", "httproutes")
GATEWAYS = ("gateway.networking.k8s.io", "v1", "gateways")
SERVICES = ("serving.kserve.io", "v1beta1", "inferenceservices")
TRAIN_JOBS = ("trainer.kubeflow.org", "v1alpha1", "trainjobs")
FEATURE_STORES = ("feast.dev", "v1", "featurestores")
JOBS, CRON_JOBS = ("batch", "v1", "jobs"), ("batch", "v1", "cronjobs")
"""Group, version and plural of resources."""
GONE, CONFLICT, BUSY = 404, 409, 429
_SECONDS = 30
_TIMES = 10
"""How often a request is sent again that the cluster has no room for, each time after the seconds that it says: as
often as kubectl does (k8s.io/client-go/rest/request.go: maxRetries)."""
_LOST_TIMES = 3
"""How often one is sent again whose connection was refused or lost."""
Objects = list[dict[str, Any]]


class Cluster:
    """What is asked of one namespace of a cluster. Objects are the API's own JSON."""

    def __init__(self, context: str, namespace: str) -> None:
        self._context = context
        self.namespace = namespace

    def get(self, kind: tuple[str, str, str], name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Return a custom resource, or None where it is not."""
        found: dict[str, Any] | None = self._custom("get", kind, name, namespace=namespace or self.namespace)
        return found

    def list(self, kind: tuple[str, str, str], selector: str) -> Objects:
        """Return the custom resources with some labels; none where the cluster has no such kind."""
        found = self._custom("list", kind, label_selector=selector, namespace=self.namespace)
        return list((found or {"items": []})["items"])

    def create(self, kind: tuple[str, str, str], body: dict[str, Any]) -> None:
        """Create a custom resource."""
        self._custom("create", kind, body, namespace=self.namespace)

    def replace(self, kind: tuple[str, str, str], name: str, body: dict[str, Any]) -> None:
        """Replace a custom resource; refused by the cluster when another wrote since it was read."""
        self._custom("replace", kind, name, body, namespace=self.namespace)

    def delete(self, kind: tuple[str, str, str], name: str) -> None:
        """Delete a resource and what belongs to it, or find it gone."""
        self._custom("delete", kind, name, namespace=self.namespace, propagation_policy="Background")

    def deployment(self, name: str) -> dict[str, Any] | None:
        """Return a Deployment, or None where it is not."""
        found: dict[str, Any] | None = self._core("AppsV1Api", "read_namespaced_deployment", name)
        return found

    def pods(self, selector: str, *, going: bool = False) -> Objects:
        """Return the pods with some labels, and only with `going` those that are on their way out."""
        found = self._core("CoreV1Api", "list_namespaced_pod", label_selector=selector) or {}
        return [item for item in found.get("items") or () if going or "deletionTimestamp" not in item["metadata"]]

    def events(self, pod: str) -> Objects:
        """Return what was told of a pod."""
        found = self._core("CoreV1Api", "list_namespaced_event", field_selector=f"involvedObject.name={pod}") or {}
        return list(found.get("items") or ())

    def log(self, pod: str, container: str) -> str:
        """Return what a container printed; nothing where it has not begun."""
        return str(self._core("CoreV1Api", "read_namespaced_pod_log", pod, container=container) or "")

    def _core(self, group: str, verb: str, *arguments: Any, **more: Any) -> Any:
        """Ask for objects of Kubernetes' own kinds; None where there is none."""
        from kubernetes import client

        api = _api(self._context)
        call, name = getattr(getattr(client, group)(api), verb), (*arguments, self.namespace)
        with explained(f"{verb.replace('_namespaced_', ' of ')} {' '.join(arguments)} in {self.namespace}"):
            try:
                return api.sanitize_for_serialization(call(*name, _request_timeout=_SECONDS, **more))
            except client.ApiException as error:
                if error.status == GONE:
                    return None
                raise

    def _custom(self, verb: str, kind: tuple[str, str, str], *arguments: Any, namespace: str, **more: Any) -> Any:
        from kubernetes import client

        group, version, plural = kind
        call = getattr(client.CustomObjectsApi(_api(self._context)), f"{verb}_namespaced_custom_object")
        with explained(f"{verb} of {plural} in {namespace}"):
            try:
                return call(group, version, namespace, plural, *arguments, _request_timeout=_SECONDS, **more)
            except client.ApiException as error:
                if error.status == GONE and verb in ("get", "list", "delete"):
                    return None
                raise


class Conflict(MlinfraError):
    """Another wrote since the object was read, or made it first."""


def _api(context: str) -> Any:
    """Return the client of a context, as the kubeconfig that is named now has it."""
    return _client(context, os.environ.get("KUBECONFIG") or None)


@cache
def _client(context: str, file: str | None) -> Any:
    from kubernetes import client, config
    from urllib3 import Retry

    settings = client.Configuration()
    settings.retries = Retry(total=_TIMES, connect=_LOST_TIMES, read=_LOST_TIMES, raise_on_status=False)
    try:
        config.load_kube_config(config_file=file, context=context, client_configuration=settings)  # type: ignore[no-untyped-call]
        return client.ApiClient(settings)
    except config.ConfigException as error:
        raise MlinfraError(
            f"the kubeconfig has no usable context {context}: {error}",
            remedy="look at `kubectl config get-contexts`, and set KUBECONFIG",
        ) from error


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Say what the cluster answered as an error that a user can read.

    Raises:
        Conflict: another wrote in between.
        MlinfraError: the cluster refused, or was not reached.
    """
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        said = f"{doing}: the cluster answers {error.status} {error.reason}"
        if error.status == CONFLICT:
            raise Conflict(said) from error
        mended = "check what this identity may: kubectl auth can-i --list"
        if error.status == BUSY:
            mended = "others ask the cluster too much: run it again in a minute"
        raise MlinfraError(said, remedy=mended) from error
    except HTTPError as error:
        raise MlinfraError(f"{doing}: the cluster does not answer: {error}", remedy="check the context") from error

"""Every object is one that a real API server takes, with the operators' definitions; every pod is a restricted one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mlinfra.adapters import load_adapter
from mlinfra.declarations.part import Part
from mlinfra.problems import MlinfraError
from mlinfra.resources import Resources
from mlinfra.testing.judge import record_resolved, resolve_scene
from mlinfra.testing.specimens import KINDS, SMALL
from mlinfra.testing.variations import Scene
from mlinfra_providers.kubernetes.clients import ROUTES, SERVICES, Cluster, Conflict
from mlinfra_providers.kubernetes.resources.traffic import TrafficSplit
from mlinfra_providers.kubernetes.route import Split, route
from mlinfra_providers.kubernetes.split import Routing
from tests.go_programs import CannotBuild
from tests.kubernetes.objects import objects, pods_of
from tests.lab.kubernetes.apiserver.build import built
from tests.lab.kubernetes.apiserver.server import Server, running
from tests.lab.kubernetes.client import Answered

pytestmark = pytest.mark.engine

DEFINITIONS = (
    "feast.dev_featurestores",
    "gateway.networking.k8s.io_httproutes",
    "monitoring.coreos.com_prometheusrules",
    "monitoring.coreos.com_servicemonitors",
    "serving.kserve.io_inferenceservices",
    "trainer.kubeflow.org_trainingruntimes",
)
Reference = Callable[..., Resources]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """An API server with the definitions of the operators."""
    try:
        binaries = built()
    except CannotBuild as why:
        pytest.fail(f"the lab needs a Kubernetes API server: {why}")
    with running(binaries) as started:
        started.define(*DEFINITIONS)
        yield started


def _namespace(server: Server, name: str) -> None:
    security = {"pod-security.kubernetes.io/enforce": "restricted"}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": security}}
    server.cluster.apply(f"/api/v1/namespaces/{name}", manifest, force=True)


def _tried(server: Server, body: dict[str, Any]) -> None:
    kind = server.cluster.kind(body["apiVersion"], body["kind"])
    assert kind is not None, body["kind"]
    metadata = body["metadata"]
    server.cluster.apply(kind.path(metadata.get("namespace"), metadata["name"]), body, dry=True, force=True)


def _refused(server: Server, resources: Resources) -> list[str]:
    _namespace(server, next(body["metadata"]["namespace"] for _, body in objects(resources) if _inside(body)))
    wrong = []
    for resource, body in objects(resources):
        try:
            _tried(server, body)
        except Answered as answered:
            wrong.append(f"{resource.urn}: {answered} {answered.causes}")
    return wrong


def _inside(body: dict[str, Any]) -> bool:
    return "namespace" in body["metadata"]


@pytest.mark.parametrize("changes", [{}, {"namespace": "flights"}], ids=["made", "existing"])
def test_the_reference_stacks_are_taken(server: Server, reference: Reference, changes: dict[str, Any]) -> None:
    found = reference(2, **changes)
    assert _refused(server, found) == []
    assert {body["kind"] for _, body in objects(found)} >= {
        "CronJob", "FeatureStore", "HTTPRoute", "InferenceService", "PrometheusRule", "ServiceMonitor",
        "TrainingRuntime",
    }  # fmt: skip


def test_a_wrong_field_is_refused(server: Server, reference: Reference) -> None:
    """The two tests above can fail."""
    found = {body["kind"]: copy.deepcopy(body) for _, body in objects(reference(1))}
    service = found["InferenceService"]
    service["spec"]["predictor"]["minReplica"] = 1
    with pytest.raises(Answered, match="minReplica"):
        _tried(server, service)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_the_longest_names_are_taken(server: Server, kind: type[Part]) -> None:
    adapter = load_adapter("kubernetes")
    scene = Scene(replace(SMALL[kind], name="a0-" + "b" * 60), {"name": "c" * 63})
    assert _refused(server, record_resolved(adapter, resolve_scene(adapter, scene))) == []


def test_a_mirrored_route_is_taken(server: Server) -> None:
    _namespace(server, "flights")
    split = Split(3, {"a" * 12: 90, "b" * 12: 10}, {"a" * 12: "one", "b" * 12: "two"}, {"b" * 12: 50}, {"step": 1})
    _tried(server, route(split, "flight-delay", "flights", {}, "flights@example.com"))


def test_every_pod_is_let_into_a_restricted_namespace(server: Server, reference: Reference) -> None:
    _namespace(server, "restricted")
    tried = 0
    for urn, pod in pods_of(reference(2)):
        path = f"/api/v1/namespaces/restricted/pods/{pod['metadata']['name']}"
        pod["metadata"]["namespace"] = "restricted"
        assert server.cluster.apply(path, pod, dry=True)["kind"] == "Pod", urn
        tried += 1
    assert tried >= 10
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(Answered, match="allowPrivilegeEscalation"):
        server.cluster.apply(path, pod, dry=True)


def test_the_client_shifts_and_is_refused_when_another_was_faster(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _namespace(server, "shifting")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    context = YAML(typ="safe").load(server.kubeconfig)["current-context"]
    inputs = {
        "context": context,
        "namespace": "shifting",
        "endpoint": "flight-delay",
        "backends": {"a" * 12: "one-predictor", "b" * 12: "two-predictor"},
        "weights": {"a" * 12: 100.0},
        "generation": 0.0,
        "owner": "flights@example.com",
        "labels": {},
        "release": "a" * 12,
        "serves": {},
    }
    # nothing runs pods here; tests/lab does
    monkeypatch.setattr("mlinfra_providers.kubernetes.resources.traffic.wait_for", lambda *_: None)
    handler = TrafficSplit(Path())
    handler.create(inputs)
    cluster = Cluster(context, "shifting")
    routing = Routing(cluster, "flight-delay")
    routing.shift({"a" * 12: 90, "b" * 12: 10}, 2, {"step": 10}, {"b" * 12: 50})
    handler.update("", inputs, inputs)
    found = handler.read("", inputs)
    assert found is not None
    assert found.inputs["weights"] == {"a" * 12: 90, "b" * 12: 10}
    assert (found.inputs["generation"], found.outputs["remembered"]) == (2, {"step": 10})
    stale = cluster.get(ROUTES, "flight-delay")
    assert stale is not None
    routing.shift({"a" * 12: 100}, 3, None, {})
    with pytest.raises(Conflict):
        cluster.replace(ROUTES, "flight-delay", stale)
    assert cluster.list(SERVICES, "mlinfra-endpoint=flight-delay") == []
    assert cluster.deployment("one-predictor") is None
    handler.delete("", inputs)
    handler.delete("", inputs)
    assert handler.read("", inputs) is None
    with pytest.raises(MlinfraError, match="no usable context nowhere"):
        Cluster("nowhere", "shifting").get(ROUTES, "flight-delay")

"""What doctor tells of a cluster, asked of a real API server by the account that bootstrap makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlinfra.adapters import Instance
from mlinfra.record import record
from mlinfra_providers.kubernetes.bootstrap import ClusterFoundation
from mlinfra_providers.kubernetes.doctor import examine
from tests.bootstrap.environments import environment
from tests.doctor.parts import MOST, parts
from tests.go_programs import CannotBuild
from tests.kubernetes.objects import objects
from tests.lab.kubernetes.apiserver.build import built
from tests.lab.kubernetes.apiserver.server import Server, running

pytestmark = pytest.mark.engine

MACHINE = Instance("any", 2, 4)
Findings = dict[str, tuple[bool | None, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    try:
        binaries = built()
    except CannotBuild as why:
        pytest.fail(f"the lab needs a Kubernetes API server: {why}")
    with running(binaries) as started:
        yield started


def _declared(keys: list[str], namespace: str) -> list[dict[str, object]]:
    foundation = ClusterFoundation(environment("kubernetes", namespace=namespace), None)
    made = record(lambda: foundation.declare(keys), project="mlinfra-bootstrap", stack="prod")
    found = [body for _, body in objects(made)]
    return sorted(found, key=lambda body: body["kind"] != "Namespace")


def _apply(server: Server, body: dict[str, object]) -> None:
    kind = server.cluster.kind(str(body["apiVersion"]), str(body["kind"]))
    assert kind is not None
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    server.cluster.apply(kind.path(metadata.get("namespace"), metadata["name"]), body, force=True)


def _as(server: Server, namespace: str, account: str, folder: Path) -> str:
    """Return a kubeconfig of an account of the cluster, whose context is called acme."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    told = server.cluster.send("POST", path, json.dumps(body).encode(), kind="application/json")
    config = json.loads(server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": told["status"]["token"]}
    config["contexts"][0]["name"] = config["current-context"] = "acme"
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return str(file)


def _told(namespace: str | None) -> Findings:
    place = environment("kubernetes", namespace=namespace, state=None, artifacts=None)
    return {subject: (good, detail) for subject, good, detail, _ in examine(place, parts(MACHINE))}


@pytest.fixture
def ci(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the account of CI in the namespace flights."""
    for body in _declared(["namespace", "ci", "ci-plan"], "flights"):
        _apply(server, body)
    monkeypatch.setenv("KUBECONFIG", _as(server, "flights", "mlinfra-ci", tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.usefixtures("ci")
def test_the_account_of_bootstrap_may_do_all_that_is_needed_in_its_namespace(server: Server) -> None:
    told = _told("flights")
    assert told["credentials"] == (True, "system:serviceaccount:flights:mlinfra-ci, by the context acme")
    rights = {subject: good for subject, (good, _) in told.items() if subject.startswith("permissions")}
    assert len(rights) >= 8
    assert set(rights.values()) == {True}
    assert told["operators"][0] is False, "none is installed here"
    assert "serving.kserve.io" in told["operators"][1]


@pytest.mark.usefixtures("ci")
def test_it_may_do_nothing_in_another_namespace(server: Server) -> None:
    _apply(server, _declared(["namespace"], "others")[0])
    told = _told("others")
    assert {good for subject, (good, _) in told.items() if subject.startswith("permissions")} == {False}


@pytest.mark.usefixtures("ci")
def test_what_it_may_not_ask_is_unknown(server: Server) -> None:
    """Nodes and namespaces are the cluster's, and not CI's to look at."""
    told = _told("flights")
    assert told["nodes"] == (None, "these credentials may not ask")
    assert told["namespace"][0] is None


@pytest.fixture
def administrator(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be somebody who may everything."""
    config = json.loads(server.kubeconfig.read_text())
    config["contexts"][0]["name"] = config["current-context"] = "acme"
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(file))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.usefixtures("administrator")
def test_bounds_must_have_room_for_two_fleets(server: Server) -> None:
    """Two processors a pod, two fleets, and the job."""
    needed = 2 * MOST * 2 + 2
    _apply(server, _declared(["namespace"], "bounded")[0])
    for cpus, good in ((needed, True), (needed - 1, False)):
        quota: dict[str, object] = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "team", "namespace": "bounded"},
            "spec": {"hard": {"requests.cpu": str(cpus), "count/jobs.batch": "5"}},
        }
        _apply(server, quota)
        found = _told("bounded")
        assert found["quota"][0] is good
        assert f"{needed} requests.cpu are needed (2 fleets), {cpus} are allowed" in found["quota"][1]


@pytest.mark.usefixtures("administrator")
def test_a_namespace_that_is_not_there(server: Server) -> None:
    assert _told("nowhere")["namespace"] == (False, "there is no nowhere")
    told = _told(None)
    assert told["namespace"] == (True, "prod-mlinfra is not there yet: `up` makes it")
    assert told["permissions: making the namespace"][0] is True


@pytest.mark.usefixtures("administrator")
def test_too_few_nodes_are_unknown_for_more_may_come(server: Server) -> None:
    told = _told("flights")
    assert told["nodes"][0] is None
    assert "no node has room for a pod of 2 cpus and 4 GiB" in told["nodes"][1]


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    told = _told("flights")
    assert list(told) == ["credentials"]
    assert told["credentials"][0] is False

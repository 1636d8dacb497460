"""The reference stacks by the real engine on a real API server: made once, and a shift that no `up` undoes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mlinfra_providers.kubernetes.clients import Cluster
from mlinfra_providers.kubernetes.split import Routing
from tests.kubernetes.test_api_server import DEFINITIONS
from tests.lab.kubernetes.apiserver.build import built
from tests.lab.kubernetes.apiserver.server import Server, running
from tests.lab.kubernetes.client import Cluster as Client
from tests.lab.kubernetes.controllers.operators import inference_services
from tests.lab.kubernetes.controllers.workloads import deployments, stamp
from tests.lab.kubernetes.controllers.world import World, condition, conditions
from tests.lab.project import ROOT, Project

pytestmark = pytest.mark.engine

NAMESPACE, ENDPOINT = "prod-mlinfra", "flight-delay"
PROGRAM = """
import os
import sys
sys.path.insert(0, ROOT)

from mlinfra.adapters import load_adapter
from mlinfra.realize import realize
from mlinfra.resolve import resolve
from tests.reference import declared, example_of

environment = example_of("kubernetes").model_copy(update={"context": CONTEXT})
adapter = load_adapter("kubernetes")
realize(resolve(declared(environment, int(os.environ["PROGRAM_RELEASED"])), adapter), adapter)
"""


@pytest.fixture
def server() -> Iterator[Server]:
    """An API server of its own: what is protected stays."""
    with running(built()) as started:
        started.define(*DEFINITIONS)
        with _pods_ready(Path(started.environment["KUBECONFIG"])):
            yield started


@contextmanager
def _pods_ready(kubeconfig: Path) -> Iterator[None]:
    """Have the pods of every InferenceService, ready as soon as they are there: no container is run."""
    known, ended = World(Client.of(kubeconfig)), threading.Event()
    known.watch()

    def work() -> None:
        while not ended.wait(0.2):
            inference_services(known)
            deployments(known)
            for pod in known.all("pods"):
                status = {"conditions": conditions(pod, [condition("Ready", True)], stamp())}
                known.patch("pods", pod, {"status": status}, "/status")

    working = threading.Thread(target=work)
    working.start()
    try:
        yield
    finally:
        ended.set()
        working.join()


def test_the_reference_stacks_are_made_once_and_a_shift_stays(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = YAML(typ="safe").load(server.kubeconfig)["current-context"]
    project = Project(tmp_path, {**server.environment, "MLINFRA_REPOSITORY": str(ROOT), "PROGRAM_RELEASED": "1"})
    project.write(f"ROOT = {str(ROOT)!r}\nCONTEXT = {context!r}\n{PROGRAM}")
    planned = project.preview()
    assert server.cluster.get(f"/api/v1/namespaces/{NAMESPACE}") is None, "a preview makes nothing"
    assert sorted(project.up().changes) == sorted(planned.changes)
    assert project.preview().changes == []
    assert project.refresh().changes == []
    assert project.preview().changes == []

    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    routing = Routing(Cluster(context, NAMESPACE), ENDPOINT)
    first = routing.observe()
    assert first is not None
    (old,) = first.weights
    project.environment["PROGRAM_RELEASED"] = "2"
    project.up()
    beside = routing.observe()
    assert beside is not None
    (new,) = set(beside.weights) - {old}
    assert beside.weights == {old: 100, new: 0}
    routing.shift({old: 90, new: 10}, beside.generation + 1, None, {})
    project.refresh()
    assert project.preview().changes == []
    project.up()
    after = routing.observe()
    assert after is not None
    assert after.weights == {old: 90, new: 10}

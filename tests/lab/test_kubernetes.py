"""A platform on Kubernetes, through the real engine, on a real API server with the operators' real definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.conftest import program
from tests.lab.kubernetes.apiserver.server import Server
from tests.lab.project import Project

pytestmark = pytest.mark.engine

SERVICE = "/apis/serving.kserve.io/v1beta1/namespaces/flights/inferenceservices/v-3f9c"


@pytest.fixture(scope="module")
def platform(kubernetes: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The platform, up."""
    kubernetes.define("serving.kserve.io_inferenceservices", "gateway.networking.k8s.io_httproutes")
    project = Project(tmp_path_factory.mktemp("kubernetes"), kubernetes.environment)
    project.write(program("kubernetes"))
    planned = project.preview()
    assert kubernetes.cluster.get("/api/v1/namespaces/flights") is None, "a preview makes nothing"
    assert sorted(project.up().changes) == sorted(planned.changes)
    yield project
    project.destroy()
    assert kubernetes.cluster.get("/api/v1/namespaces/flights") is None
    for kind in ("/api/v1/configmaps", "/api/v1/secrets", "/apis/serving.kserve.io/v1beta1/inferenceservices"):
        left = [item["metadata"] for item in kubernetes.cluster.get(kind)["items"]]
        assert [item["name"] for item in left if item["namespace"] == "flights"] == []


def _by_hand(server: Server, path: str, body: Any) -> None:
    server.cluster.send("PATCH", path, body, kind="application/merge-patch+json", fieldManager="kubectl-edit")


def test_nothing_changes_without_a_change(platform: Project) -> None:
    assert platform.preview().changes == []
    assert platform.refresh().changes == []
    assert platform.preview().changes == []


def test_no_secret_is_in_the_state(platform: Project) -> None:
    """The server answers with `data`, derived from `stringData`."""
    state = platform.state()
    assert "a-password-of-the-test" not in state
    assert "YS1wYXNzd29yZC1vZi10aGUtdGVzdA" not in state


def test_changed_data_are_a_new_config_map_before_the_old_one_goes(platform: Project, kubernetes: Server) -> None:
    platform.environment["PROGRAM_LEVEL"] = "debug"
    done = platform.up()
    assert [step for step in done.changes if step[0] != "replace"] == [
        ("create-replacement", "ConfigMap serving"),
        ("update", "InferenceService v-3f9c"),
        ("delete-replaced", "ConfigMap serving"),
    ]
    service = kubernetes.cluster.get(SERVICE)
    name = service["spec"]["predictor"]["model"]["envFrom"][0]["configMapRef"]["name"]
    assert kubernetes.cluster.get(f"/api/v1/namespaces/flights/configmaps/{name}")["data"] == {"level": "debug"}


def test_what_the_server_calls_immutable_is_replaced(platform: Project) -> None:
    platform.environment["PROGRAM_ADDRESS"] = "10.0.0.11"
    done = platform.up()
    assert ("delete-replaced", "Service front") in done.changes, "a fixed name goes first"
    assert done.changes.index(("delete-replaced", "Service front")) < done.changes.index(
        ("create-replacement", "Service front")
    )


def test_a_change_by_hand_is_seen_and_is_a_conflict_unless_forced(platform: Project, kubernetes: Server) -> None:
    _by_hand(kubernetes, SERVICE, {"spec": {"predictor": {"minReplicas": 3}}})
    assert platform.refresh().changes == [("update", "InferenceService v-3f9c")]
    refused = platform.up(expect=None)
    assert refused.code != 0
    assert "field conflict" in refused.output
    platform.environment["PROGRAM_FORCE"] = "yes"
    assert platform.up().changes == [("update", "InferenceService v-3f9c")]
    assert kubernetes.cluster.get(SERVICE)["spec"]["predictor"]["minReplicas"] == 1


def test_what_was_deleted_by_hand_is_made_again(platform: Project, kubernetes: Server) -> None:
    kubernetes.cluster.send("DELETE", "/apis/batch/v1/namespaces/flights/cronjobs/drift")
    assert ("delete", "CronJob drift") in platform.refresh().steps
    assert platform.up().changes == [("create", "CronJob drift")]


def test_a_wrong_value_is_refused_at_preview_with_its_path(platform: Project) -> None:
    platform.environment["PROGRAM_WRONG"] = "two"
    told = platform.preview(expect=None)
    del platform.environment["PROGRAM_WRONG"]
    assert told.code != 0
    assert ".spec.predictor.minReplicas: expected numeric (int or float), got string" in told.output


def test_a_field_that_there_is_not_is_refused(kubernetes: Server) -> None:
    """`fieldValidation=Strict`: without it the server drops the field without a word."""
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "datta": {}}
    with pytest.raises(Exception, match="datta"):
        kubernetes.cluster.apply("/api/v1/namespaces/default/configmaps/x", manifest)

"""The route of an endpoint: who writes it, who has the last word, and what is seen of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.kubernetes import service as running
from mlinfra_providers.kubernetes.clients import GATEWAYS, SERVICES, TRAIN_JOBS
from mlinfra_providers.kubernetes.resources import traffic
from mlinfra_providers.kubernetes.resources.traffic import TrafficSplit
from mlinfra_providers.kubernetes.split import Routing
from tests.kubernetes.cloud import SERVES, Memory, pod

OLD, NEW = "91d04e77aaaa", "3f9c2ab1bbbb"
ENDPOINT = "flight-delay"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """The cluster that handler and service ask."""
    memory = Memory()
    monkeypatch.setattr(traffic, "Cluster", lambda context, namespace: memory)
    monkeypatch.setattr(running, "Cluster", lambda context, namespace: memory)
    return memory


@pytest.fixture
def handler() -> TrafficSplit:
    return TrafficSplit(Path())


@pytest.fixture
def service(cluster: Memory, example: Environment) -> running.KubernetesService:
    return running.KubernetesService(example, Path())


def inputs(*releases: str, generation: int = 0) -> dict[str, Any]:
    """Return what is declared; the newest release first."""
    return {
        "context": "cluster",
        "namespace": "flights",
        "environment": "prod",
        "endpoint": ENDPOINT,
        "backends": {release: f"{ENDPOINT}-{release}-predictor" for release in releases},
        "release": releases[0],
        "serves": SERVES,
        "weights": {releases[0]: 100},
        "generation": generation,
        "rollout": {"steps": [10, 100]},
        "owner": "flights@example.com",
        "labels": {"part": "endpoints.flight-delay"},
    }


def weights(cluster: Memory) -> dict[str, int]:
    (rule,) = cluster.objects["httproutes", ENDPOINT]["spec"]["rules"]
    return {item["name"].split("-")[2]: item["weight"] for item in rule["backendRefs"]}


def test_the_first_release_gets_everything(cluster: Memory, handler: TrafficSplit) -> None:
    id_, outputs = handler.create(inputs(OLD))
    assert (id_, outputs["url"]) == ("flights/flight-delay", "/flights/flight-delay")
    assert weights(cluster) == {OLD: 100}
    assert cluster.objects["httproutes", ENDPOINT]["metadata"]["labels"] == {"part": "endpoints.flight-delay"}


def test_a_new_release_begins_without_a_share(cluster: Memory, handler: TrafficSplit) -> None:
    handler.create(inputs(OLD))
    handler.update("", inputs(OLD), inputs(NEW, OLD))
    assert weights(cluster) == {OLD: 100, NEW: 0}


def test_whoever_shifts_has_the_last_word(
    cluster: Memory, handler: TrafficSplit, service: running.KubernetesService
) -> None:
    handler.create(inputs(OLD))
    handler.update("", inputs(OLD), inputs(NEW, OLD))
    service.shift(ENDPOINT, {NEW: 10, OLD: 90}, 2, mirror={NEW: 50})
    assert weights(cluster) == {NEW: 10, OLD: 90}
    found = handler.read("", inputs(NEW, OLD))
    assert found is not None
    assert (found.inputs["weights"], found.inputs["generation"]) == ({NEW: 10, OLD: 90}, 2)
    assert handler.differs(found.inputs, inputs(NEW, OLD)) == frozenset()
    handler.update("", found.inputs, {**inputs(NEW, OLD), "labels": {"team": "another"}})
    assert weights(cluster) == {NEW: 10, OLD: 90}
    mirrors = [
        item["requestMirror"]["percent"]
        for item in cluster.objects["httproutes", ENDPOINT]["spec"]["rules"][0]["filters"]
        if item["type"] == "RequestMirror"
    ]
    assert mirrors == [50]


def test_only_a_newer_generation_shifts(
    cluster: Memory, handler: TrafficSplit, service: running.KubernetesService
) -> None:
    handler.create(inputs(NEW, OLD))
    with pytest.raises(Refused, match="generation 1 is not newer than 1"):
        service.shift(ENDPOINT, {OLD: 100}, 1)
    assert weights(cluster) == {NEW: 100, OLD: 0}
    handler.update("", inputs(NEW, OLD), {**inputs(NEW, OLD, generation=5), "weights": {OLD: 100}})
    assert weights(cluster) == {NEW: 0, OLD: 100}


def test_who_writes_at_the_same_time_is_refused(cluster: Memory, handler: TrafficSplit) -> None:
    handler.create(inputs(NEW, OLD))
    before = weights(cluster)
    cluster.meddle = True
    with pytest.raises(Refused, match="at the same time"):
        Routing(cluster, ENDPOINT).shift({OLD: 100}, 2, None, {})
    assert weights(cluster) == before


def test_who_serves_is_not_taken_away(cluster: Memory, handler: TrafficSplit) -> None:
    handler.create(inputs(OLD))
    with pytest.raises(Refused, match=f"{OLD} serves flight-delay and is not declared any more"):
        handler.update("", inputs(OLD), inputs(NEW))
    assert weights(cluster) == {OLD: 100}


def test_a_release_that_is_not_deployed_gets_nothing(
    cluster: Memory, handler: TrafficSplit, service: running.KubernetesService
) -> None:
    handler.create(inputs(OLD))
    with pytest.raises(MlinfraError, match="is not deployed here"):
        service.shift(ENDPOINT, {NEW: 100}, 2)


def test_weights_by_hand_are_seen(cluster: Memory, handler: TrafficSplit, service: running.KubernetesService) -> None:
    handler.create(inputs(NEW, OLD))
    for item in cluster.objects["httproutes", ENDPOINT]["spec"]["rules"][0]["backendRefs"]:
        item["weight"] = 3 if NEW in item["name"] else 1
    observed = service.observe(ENDPOINT)
    assert {item.release: item.weight for item in observed.releases} == {NEW: 75, OLD: 25}


def test_what_pods_really_run_is_told(
    cluster: Memory, handler: TrafficSplit, service: running.KubernetesService
) -> None:
    handler.create(inputs(NEW, OLD))
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    labels = {"mlinfra-endpoint": ENDPOINT, "mlinfra-release": NEW}
    cluster.create(SERVICES, {"metadata": {"name": "new", "labels": labels}, "status": ready})
    digest = "sha256:" + "b" * 64
    cluster.running[NEW] = [pod(artifact=digest), pod(artifact=digest)]
    address = {"addresses": [{"value": "192.0.2.7"}]}
    listeners = [{"name": "http", "protocol": "HTTP", "port": 8081}]
    gateway = {"metadata": {"name": "kserve-ingress-gateway"}, "spec": {"listeners": listeners}, "status": address}
    cluster.create(GATEWAYS, gateway)
    found = service.observe(ENDPOINT)
    assert found.url == "http://192.0.2.7:8081/flights/flight-delay"
    by_release = {item.release: item for item in found.releases}
    new, old = by_release[NEW], by_release[OLD]
    assert (new.healthy, new.replicas, new.artifact, new.image) == (True, 2, digest, "serving@sha256:1")
    assert (old.healthy, old.last_failure) == (False, "its InferenceService is gone")


@pytest.mark.parametrize(
    ("pods", "events", "deployment", "said"),
    [
        (
            [],
            [],
            {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: full"},
            "exceeded quota: full",
        ),
        (
            [pod(ready=False, conditions=[{"type": "PodScheduled", "status": "False", "message": "no cpu"}])],
            [{"reason": "NotTriggerScaleUp", "message": "max size reached"}],
            None,
            "no cpu; max size reached",
        ),
        (
            [
                pod(
                    ready=False,
                    initContainerStatuses=[
                        {
                            "name": "bring-model",
                            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                            "lastState": {"terminated": {"message": "another digest"}},
                        }
                    ],
                )
            ],
            [],
            None,
            "bring-model: CrashLoopBackOff: another digest",
        ),
    ],
    ids=["quota", "no-node", "wrong-model"],
)
def test_a_release_that_cannot_get_ready_is_told_and_gets_no_route(
    cluster: Memory, handler: TrafficSplit, pods: Any, events: Any, deployment: Any, said: str
) -> None:
    handler.create(inputs(OLD))
    before = copy.deepcopy(cluster.objects)
    cluster.running[NEW], cluster.told = pods, events
    if deployment:
        cluster.deployments[f"{ENDPOINT}-{NEW}-predictor"] = {"status": {"conditions": [deployment]}}
    with pytest.raises(MlinfraError, match=said):
        handler.update("", inputs(OLD), inputs(NEW, OLD))
    assert cluster.objects == before


def test_pods_that_run_another_model_are_a_difference_that_an_up_waits_for(
    cluster: Memory, handler: TrafficSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler.create(inputs(OLD))
    cluster.running[OLD] = [pod(artifact="sha256:other")]
    found = handler.read("", inputs(OLD))
    assert found is not None
    assert handler.differs(found.inputs, inputs(OLD)) == {"serves"}
    monkeypatch.setattr("time.sleep", lambda seconds: cluster.running.pop(OLD))
    handler.update("", found.inputs, inputs(OLD))
    assert OLD not in cluster.running, "it waited for pods that run what is declared"


def test_what_is_gone_has_no_releases(
    cluster: Memory, handler: TrafficSplit, service: running.KubernetesService
) -> None:
    handler.create(inputs(OLD))
    handler.delete("", inputs(OLD))
    handler.delete("", inputs(OLD))
    assert handler.read("", inputs(OLD)) is None
    assert service.observe(ENDPOINT).url is None
    with pytest.raises(MlinfraError, match="there is no endpoint"):
        service.shift(ENDPOINT, {OLD: 100}, 1)


def test_the_end_takes_the_runs_of_mlinfra_and_no_others(cluster: Memory, service: running.KubernetesService) -> None:
    for name, owner in (("ours", {"annotations": {"mlinfra/owner": "people@example.com"}}), ("theirs", {})):
        cluster.create(TRAIN_JOBS, {"metadata": {"name": name, **owner}})
    assert service.down(destroy_data=False) == ()
    assert [name for _, name in cluster.objects] == ["theirs"]

"""The adapter's resources and running side on the emulated Vertex AI, with the serving image's servers behind it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import httpx
import pandas as pd
import pytest

from mlinfra.adapters import ResolvedPart
from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.check import Check, js_divergence, metric
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Capture, Endpoint, Rollout
from mlinfra.declarations.model_registry import ModelRegistry
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.digests import digest_tree
from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.rollout.samples import Samples
from mlinfra_providers.vertex import clients
from mlinfra_providers.vertex.naming import endpoint_id
from mlinfra_providers.vertex.resources.deployed_model import DeployedModel
from mlinfra_providers.vertex.resources.model_version import ModelVersion
from mlinfra_providers.vertex.resources.monitoring_job import MonitoringJob
from mlinfra_providers.vertex.resources.traffic import TrafficSplit
from mlinfra_providers.vertex.service import VertexService
from tests.lab.gcp.emulator import ARTIFACTS, PROJECT, REGION
from tests.lab.gcp.target import VertexTarget, running
from tests.lab.released import released
from tests.lab.target import Fault

pytestmark = pytest.mark.local

HERE = Path()
ID = endpoint_id("prod", "flights")
PARENT = f"projects/{PROJECT}/locations/{REGION}"
PLACE = {"environment": "prod", "project": PROJECT, "location": REGION, "region": REGION}
TABLE = f"{PROJECT}.prod_capture.prod_flights"
IDS = {"v1": "100000001", "v2": "100000002"}
BODY = json.dumps({"inputs": [{"name": "hours", "datatype": "FP64", "shape": [1], "data": [3.0]}]}).encode()


def _stored(folder: Path, release: str, slope: float) -> tuple[str, str]:
    """Write a model that multiplies by `slope` into the store; return its runtime and digest."""
    from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

    from mlinfra_serving.artifacts import write_model

    frame = pd.DataFrame({"hours": [0.0, 1.0, 2.0]})
    runtime = write_model(LinearRegression().fit(frame, frame["hours"] * slope), frame, folder / release)
    fsspec.filesystem("gs").put(f"{folder / release}/", f"{ARTIFACTS}/trees/{release}/", recursive=True)
    return runtime, digest_tree(folder / release)


def version(release: str, made: tuple[str, str]) -> dict[str, Any]:
    runtime, digest = made
    settings = {"MODE": "vertex", "NAME": "flights", "RUNTIME": runtime, "MODEL_DIGEST": digest, "RELEASE": release}
    container = {
        "imageUri": f"{REGION}-docker.pkg.dev/{PROJECT}/images/serving@sha256:1",
        "env": [{"name": f"MLINFRA_SERVING_{name}", "value": value} for name, value in settings.items()],
        "ports": [{"containerPort": 8080}],
        "predictRoute": "/predict",
        "healthRoute": "/health",
    }
    return {
        **PLACE, "modelId": "prod-flights", "artifactUri": f"{ARTIFACTS}/trees/{release}", "artifact": digest,
        "containerSpec": container, "description": release, "kmsKeyName": "k", "serviceAccount": "a",
        "release": release, "alias": f"release-{release}", "labels": {},
    }  # fmt: skip


def deployed(release: str, number: str, least: int = 1) -> dict[str, Any]:
    resources = {"machineSpec": {"machineType": "e2-standard-2"}, "minReplicaCount": least, "maxReplicaCount": 4}
    return {
        **PLACE, "endpoint": ID, "deployedModelId": IDS[release], "release": release, "serviceAccount": "a",
        "model": f"{PARENT}/models/prod-flights", "modelVersionId": number, "dedicatedResources": resources,
    }  # fmt: skip


def traffic(*releases: str) -> dict[str, Any]:
    return {
        **PLACE, "endpoint": ID, "bucket": "lab-artifacts", "record": "prod/endpoints/flights/traffic.json",
        "address": "10.64.0.2", "deployed": {release: IDS[release] for release in releases}, "release": releases[0],
        "weights": {releases[0]: 100}, "generation": 0, "rollout": {}, "owner": "me",
    }  # fmt: skip


def monitor(*releases: str) -> dict[str, Any]:
    drift = {"predictionDriftDetectionConfig": {"driftThresholds": {"hours": {"value": 0.1}}}}
    return {
        **PLACE, "displayName": "prod-flights", "endpoint": f"{PARENT}/endpoints/{ID}", "logTtl": "86400s",
        "modelDeploymentMonitoringObjectiveConfigs": [
            {"deployedModelId": IDS.get(release, release), "objectiveConfig": drift} for release in releases
        ],
        "modelDeploymentMonitoringScheduleConfig": {"monitorInterval": "3600s"},
        "loggingSamplingStrategy": {"randomSampleConfig": {"sampleRate": 0.2}},
        "modelMonitoringAlertConfig": {"enableLogging": True},
        "statsAnomaliesBaseDirectory": {"outputUriPrefix": "gs://lab-artifacts/monitors"},
        "encryptionSpec": {"kmsKeyName": "k"}, "labels": {"owner": "me"},
    }  # fmt: skip


def _endpoint(*gates: Check) -> ResolvedPart:
    job = TrainingJob("flights", code="train.py")
    models = ModelRegistry("flights", trained_by=job)
    rollout = Rollout(gates=gates, label_delay="1m" if gates else None)
    part = Endpoint(
        "flights", model=models, runtime="sklearn", compute=Compute(), rollout=rollout, capture=Capture(percent=100)
    )
    return ResolvedPart("flights", "me@example.com", "flights", "sha256:0", part)


@pytest.fixture(scope="module")
def target() -> Iterator[VertexTarget]:
    with running() as made:
        yield made


@pytest.fixture
def service(target: VertexTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[VertexService]:
    """Two releases, deployed; the first has all requests."""
    for name, value in target.environment.items():
        monkeypatch.setenv(name, value)
    for known in (clients._vertex, clients._storage, clients._session):
        known.cache_clear()
    target.empty()
    target.emulator.slow(0.05)
    logging = {"enabled": True, "samplingRate": 1, "bigqueryDestination": {"outputUri": f"bq://{TABLE}"}}
    body = {"displayName": "flights", "predictRequestResponseLoggingConfig": logging}
    target.emulator.ask("POST", f"/v1/{PARENT}/endpoints", body, endpointId=ID)
    for number, (release, slope) in enumerate({"v1": 2.0, "v2": 5.0}.items(), 1):
        ModelVersion(HERE).create(version(release, _stored(tmp_path, release, slope)))
        DeployedModel(HERE).create(deployed(release, str(number)))
    TrafficSplit(HERE).create(traffic("v1"))
    where = {"target": "vertex", "stacks": ["a"], "bucket": "lab-artifacts", **target.place}
    yield VertexService(Environment.model_validate({"name": "prod", **where}), tmp_path)
    target.empty()


def test_requests_are_answered_by_their_share_and_measured(target: VertexTarget, service: VertexService) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    assert target.ask("prod", "flights", BODY).prediction == pytest.approx(6)
    serving = service.shift("flights", {"v1": 50, "v2": 50}, 2)
    assert {item.release: (item.weight, item.healthy) for item in serving.releases} == {
        "v1": (50, True),
        "v2": (50, True),
    }
    answers = [target.ask("prod", "flights", BODY) for _ in range(60)]
    counted = Counter(answer.release for answer in answers)
    assert set(counted) == {"v1", "v2"}
    assert {(answer.release, round(answer.prediction)) for answer in answers} == {("v1", 6), ("v2", 15)}
    found = service.samples(_endpoint(), began, datetime.now(UTC))
    assert isinstance(found, Samples)
    assert found.releases["v2"].requests == counted["v2"]
    assert found.releases["v1"].requests == counted["v1"] + 1
    assert found.releases["v1"].errors == 0
    assert found.releases["v1"].percentiles_ms["p95_ms"] > 0
    captured = target.emulator.ask("GET", "/lab/captured")
    assert len(captured[TABLE]) == len(answers) + 1


def test_what_is_done_by_hand_is_seen_and_put_back(target: VertexTarget, service: VertexService) -> None:
    target.shift_by_hand("prod", "flights", {"v1": 30, "v2": 70})
    assert {item.release: item.weight for item in service.observe("flights").releases} == {"v1": 30, "v2": 70}
    target.scale_by_hand("prod", "flights", "v1", 3)
    seen = DeployedModel(HERE).read(IDS["v1"], deployed("v1", "1"))
    assert seen is not None
    assert seen.inputs["dedicatedResources"]["minReplicaCount"] == 3
    target.swap_by_hand("prod", "flights", "v2", "v1")
    assert {item.artifact for item in service.observe("flights").releases} == {version_digest(service, "v1")}
    assert (
        round(next(a for a in iter(lambda: target.ask("prod", "flights", BODY), None) if a.release == "v2").prediction)
        == 6
    )
    DeployedModel(HERE).update(IDS["v2"], deployed("v2", "2"), deployed("v2", "2"))
    assert {item.release: item.weight for item in service.observe("flights").releases} == {"v1": 30, "v2": 70}
    assert len({item.artifact for item in service.observe("flights").releases}) == 2


def version_digest(service: VertexService, release: str) -> str | None:
    return next(item.artifact for item in service.observe("flights").releases if item.release == release)


def test_a_lost_connection_is_said_and_gone_on_from(target: VertexTarget, service: VertexService) -> None:
    for fault, taken in ((Fault.LOST_BEFORE, {"v1": 100}), (Fault.LOST_AFTER, {"v2": 100})):
        target.fail(fault)
        with pytest.raises(MlinfraError, match="the connection to Google was lost"):
            service.shift("flights", {"v2": 100}, service.observe("flights").generation + 1)
        serving = service.observe("flights")
        assert {item.release: item.weight for item in serving.releases if item.weight} == taken
    target.fail(Fault.QUOTA)
    with pytest.raises(MlinfraError, match="quota metrics exceed"):
        DeployedModel(HERE).update(IDS["v2"], deployed("v2", "2"), deployed("v2", "2", least=3))
    target.fail(Fault.NO_CAPACITY)
    with pytest.raises(MlinfraError, match="temporarily unavailable"):
        DeployedModel(HERE).update(IDS["v2"], deployed("v2", "2"), deployed("v2", "2", least=3))
    with pytest.raises(MlinfraError, match="serves 100 %"):
        DeployedModel(HERE).delete(IDS["v2"], deployed("v2", "2"))
    DeployedModel(HERE).delete(IDS["v1"], deployed("v1", "1"))
    assert target.ask("prod", "flights", BODY).release == "v2"


def test_what_is_throttled_is_asked_again_and_a_quota_of_machines_is_told_at_once(
    target: VertexTarget, service: VertexService, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.fail(Fault.THROTTLED, times=2)
    assert {item.release for item in service.observe("flights").releases} == {"v1", "v2"}
    monkeypatch.setattr(clients, "PATIENCE_SECONDS", 1.0)
    target.fail(Fault.THROTTLED, times=1000)
    with pytest.raises(MlinfraError, match="requests per minute"):
        service.observe("flights")
    target.heal()


def test_what_is_captured_is_brought_and_joined_with_labels(target: VertexTarget, service: VertexService) -> None:
    part = _endpoint(metric("rmse") <= 1.0)
    began = datetime.now(UTC) - timedelta(seconds=1)
    body = {**json.loads(BODY), "id": "request-1"}
    target.ask("prod", "flights", json.dumps(body).encode())
    target.ask("prod", "flights", BODY)
    assert service.add_labels("flights", {"request-1": 6.5}) == 1
    assert service.add_labels("flights", {"request-1": 6.5}) == 0
    found = service.samples(part, began, datetime.now(UTC) + timedelta(seconds=1))
    assert isinstance(found, Samples)
    assert found.releases["v1"].labelled_of == 2
    assert found.releases["v1"].predictions == pytest.approx([6.0])
    assert found.releases["v1"].labels == pytest.approx([6.5])
    nothing = service.samples(part, began - timedelta(days=2), began - timedelta(days=1))
    assert isinstance(nothing, Samples)
    assert nothing.releases["v1"].labelled_of == 0


def test_drift_on_demand_is_measured_on_what_was_captured(
    target: VertexTarget, service: VertexService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = _endpoint().part
    assert isinstance(endpoint, Endpoint)
    job = endpoint.model.trained_by
    monitor = DriftMonitor(
        "flights", endpoint=endpoint, baseline=job, every="1h", thresholds={"hours": js_divergence() <= 0.2}
    )
    part = ResolvedPart("flights", "me@example.com", "flights", "sha256:0", monitor)
    with pytest.raises(MlinfraError, match="is not in gs://"):
        service.drift(part, "1h")
    release = released(ArtifactStore(ARTIFACTS), "flights", endpoint, tmp_path)
    monkeypatch.setitem(IDS, release.short, "100000003")
    ModelVersion(HERE).create(version(release.short, _stored(tmp_path, release.short, 2.0)))
    DeployedModel(HERE).create(deployed(release.short, "3"))
    service.shift("flights", {release.short: 100}, 2)
    assert service.drift(part, "1h")["verdict"] == "no data"
    for number in range(60):
        # far from what it was trained on
        asked = {"name": "hours", "datatype": "FP64", "shape": [1], "data": [30.0 + number % 7]}
        target.ask("prod", "flights", json.dumps({"inputs": [asked]}).encode())
    result = service.drift(part, "1h")
    assert (result["verdict"], result["rows"]) == ("drift", 60)


def test_what_containers_print_is_brought_by_what_is_deployed(target: VertexTarget, service: VertexService) -> None:
    target.ask("prod", "flights", BODY)
    found = {path.stem: path.read_text() for path in service.logs(_endpoint())}
    assert set(found) == set(IDS.values())
    assert all("8080" not in text and text for text in found.values())


def test_the_own_monitor_follows_a_rollout(target: VertexTarget, service: VertexService) -> None:
    handler, asked = MonitoringJob(HERE), target.emulator.requests
    with pytest.raises(MlinfraError, match="Invalid model ID"):
        handler.create(monitor("9"))
    target.fail(Fault.LOST_AFTER)
    with pytest.raises(MlinfraError, match="the connection to Google was lost"):
        handler.create(monitor("v1"))
    before = asked()
    id_, _ = handler.create(monitor("v1"))
    handler.update(id_, monitor("v1"), monitor("v1", "v2"))
    assert Counter(asked()) - Counter(before) == Counter(
        {
            "ListModelDeploymentMonitoringJobs": 2,
            "DeleteModelDeploymentMonitoringJob": 1,
            "CreateModelDeploymentMonitoringJob": 1,
        }
    ), "a pending one cannot be changed"
    address = f"/v1/{PARENT}/modelDeploymentMonitoringJobs"
    [pending] = target.emulator.ask("GET", address)["modelDeploymentMonitoringJobs"]
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        target.emulator.ask("PATCH", f"/v1/{pending['name']}", {"labels": {}}, updateMask="labels")
    handler.delete(id_, monitor("v1", "v2"))
    with_schema = {name: value for name, value in monitor("v1").items() if name not in PLACE}
    with_schema["analysisInstanceSchemaUri"] = "gs://lab-artifacts/schema.yaml"
    target.emulator.ask("POST", address, with_schema)
    before = asked()
    handler.update(id_, monitor("v1"), monitor("v2"))
    assert Counter(asked()) - Counter(before) == Counter(
        {"ListModelDeploymentMonitoringJobs": 1, "UpdateModelDeploymentMonitoringJob": 1}
    ), "one that runs is changed in place"
    found = handler.read(id_, monitor("v2"))
    assert found is not None
    assert found.inputs == monitor("v2")
    refused: list[dict[str, Any]] = [{"encryptionSpec": {"kmsKeyName": "k"}}, {"loggingSamplingStrategy": {}}]
    for wrong in refused:
        [there] = target.emulator.ask("GET", address)["modelDeploymentMonitoringJobs"]
        with pytest.raises(httpx.HTTPStatusError, match="400"):
            target.emulator.ask("PATCH", f"/v1/{there['name']}", wrong, updateMask=next(iter(wrong)))
    assert any(line.startswith("ModelDeploymentMonitoringJob ") for line in target.there())
    for _ in range(2):
        handler.delete(id_, monitor("v2"))
    assert handler.read(id_, monitor("v2")) is None

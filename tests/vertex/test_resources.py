"""The plugin's resources of Vertex AI: made, changed, read and removed, each by requests that the protobufs take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import ServiceUnavailable

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError, Refused
from mlinfra_providers.handler import Found
from mlinfra_providers.vertex.naming import endpoint_id
from mlinfra_providers.vertex.resources import custom_job, deployed_model, model_version
from mlinfra_providers.vertex.resources.custom_job import CustomJob
from mlinfra_providers.vertex.resources.deployed_model import DeployedModel
from mlinfra_providers.vertex.resources.model import Model
from mlinfra_providers.vertex.resources.model_version import ModelVersion
from mlinfra_providers.vertex.resources.traffic import TrafficSplit
from mlinfra_providers.vertex.service import VertexService
from tests.vertex.cloud import Cloud

PLACE = {"environment": "prod", "project": "acme-ml", "location": "us-central1"}
PARENT = "projects/acme-ml/locations/us-central1"
ENDPOINT = endpoint_id("prod", "api")
NAME = f"{PARENT}/endpoints/{ENDPOINT}"
HERE = Path()
IDS = {"v1": "1000000001", "v2": "1000000002"}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    for module in ("resources.custom_job", "resources.deployed_model", "resources.model", "resources.model_version"):
        monkeypatch.setattr(f"mlinfra_providers.vertex.{module}.clients", lambda inputs: made)
    monkeypatch.setattr("mlinfra_providers.vertex.resources.traffic.clients", lambda inputs: made)
    monkeypatch.setattr("mlinfra_providers.vertex.service.Clients", lambda project, region: made)
    made.endpoint(NAME)
    return made


def version(release: str = "v1", **changes: Any) -> dict[str, Any]:
    declared = {
        "modelId": "prod-api",
        "artifactUri": f"gs://models/trees/{release}",
        "artifact": f"sha256:{release}",
        "containerSpec": {
            "imageUri": "us-central1-docker.pkg.dev/acme-ml/images/serving@sha256:1",
            "env": [{"name": "MLINFRA_SERVING_MODEL_DIGEST", "value": f"sha256:{release}"}],
            "ports": [{"containerPort": 8080}],
            "predictRoute": "/predict",
            "healthRoute": "/health",
        },
        "description": f"release {release}",
        "kmsKeyName": "projects/acme-ml/locations/us-central1/keyRings/a/cryptoKeys/b",
        "serviceAccount": "prod-api@acme-ml.iam.gserviceaccount.com",
        "release": release,
        "alias": f"release-{release}-1",
        "labels": {"owner": "me"},
    }
    return {**PLACE, **declared, **changes}


def deployed(release: str = "v1", **changes: Any) -> dict[str, Any]:
    declared = {
        "region": "us-central1",
        "endpoint": ENDPOINT,
        "deployedModelId": IDS[release],
        "release": release,
        "model": f"{PARENT}/models/prod-api",
        "modelVersionId": release.removeprefix("v"),
        "dedicatedResources": {
            "machineSpec": {"machineType": "e2-highmem-2"},
            "minReplicaCount": 2,
            "maxReplicaCount": 4,
            "autoscalingMetricSpecs": [
                {"metricName": "aiplatform.googleapis.com/prediction/online/request_count", "target": 3000}
            ],
        },
        "serviceAccount": "prod-api@acme-ml.iam.gserviceaccount.com",
    }
    return {**PLACE, **declared, **changes}


def traffic(*releases: str, ids: dict[str, str] = IDS, **changes: Any) -> dict[str, Any]:
    declared = {
        "endpoint": ENDPOINT,
        "bucket": "data",
        "record": "prod/endpoints/api/traffic.json",
        "address": "10.0.0.2",
        "deployed": {release: ids[release] for release in releases},
        "release": releases[0],
        "weights": {releases[0]: 100},
        "generation": 0,
        "rollout": {"steps": [10, 100]},
        "owner": "me",
    }
    return {**PLACE, **declared, **changes}


def service() -> VertexService:
    written = {"target": "vertex", "stacks": ["a"], "account": "acme-ml", "region": "us-central1", "bucket": "data"}
    return VertexService(Environment.model_validate({"name": "prod", **written}), HERE)


def read(handler: Any, id_: str, inputs: dict[str, Any]) -> Found:
    found = handler.read(id_, inputs)
    assert isinstance(found, Found)
    return found


def both() -> None:
    """Register and deploy v1, give it everything, and put v2 beside it."""
    for release in ("v1", "v2"):
        ModelVersion(HERE).create(version(release))
    DeployedModel(HERE).create(deployed("v1"))
    TrafficSplit(HERE).create(traffic("v1"))
    DeployedModel(HERE).create(deployed("v2"))
    TrafficSplit(HERE).update("traffic", traffic("v1"), traffic("v2", "v1"))


def split(cloud: Cloud) -> dict[str, int]:
    return {id_: share for id_, share in cloud.kept[NAME].traffic_split.items() if share}


def test_a_version_is_registered_once_and_stays(cloud: Cloud) -> None:
    model = {**PLACE, "modelId": "prod-api", "description": "declared", "labels": {"owner": "me"}}
    Model(HERE).create(model)
    assert read(Model(HERE), f"{PARENT}/models/prod-api", model).inputs == model
    first = ModelVersion(HERE).create(version("v1"))
    assert ModelVersion(HERE).create(version("v1")) == first
    second = ModelVersion(HERE).create(version("v2"))
    assert [outputs["versionId"] for _, outputs in (first, second)] == ["1", "2"]
    assert cloud.calls == ["upload_model", "upload_model"]
    assert read(ModelVersion(HERE), first[0], version("v1")).inputs == version("v1")
    assert read(Model(HERE), f"{PARENT}/models/prod-api", model).inputs["description"] == ""
    Model(HERE).update("", model, model)
    assert read(Model(HERE), f"{PARENT}/models/prod-api", model).inputs == model
    assert ModelVersion(HERE).update(first[0], version(), version(labels={}))["versionId"] == "1"
    for handler in (Model(HERE), ModelVersion(HERE)):
        handler.delete(first[0], version("v1"))
    assert len(cloud.versions[f"{PARENT}/models/prod-api"]) == 2
    assert ModelVersion(HERE).read("x", version(alias="release-other-1")) is None


def test_a_release_is_deployed_without_a_share(cloud: Cloud) -> None:
    both()
    assert split(cloud) == {IDS["v1"]: 100}
    found = read(DeployedModel(HERE), IDS["v2"], deployed("v2"))
    assert found.inputs == deployed("v2")
    assert found.outputs["deployedId"] == IDS["v2"]
    assert DeployedModel(HERE).read("9", deployed(deployedModelId="9")) is None


def test_deploying_twice_finds_it_done(cloud: Cloud) -> None:
    cloud.lost_after = "deploy_model"
    with pytest.raises(MlinfraError, match="the connection was lost"):
        DeployedModel(HERE).create(deployed())
    DeployedModel(HERE).create(deployed())
    assert cloud.calls == ["deploy_model"]


def test_a_deployment_that_a_killed_run_began_is_waited_for(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.deploying = request_of = deployed_model.request(deployed())
    monkeypatch.setattr("mlinfra_providers.vertex.resources.deployed_model.wait", cloud.time_passes)
    DeployedModel(HERE).create(deployed())
    assert [item.id for item in cloud.kept[NAME].deployed_models] == [request_of.deployed_model.id]
    assert cloud.calls == ["deploy_model"]


def test_a_version_deployed_by_hand_is_put_back_without_a_moment_of_nobody(cloud: Cloud) -> None:
    both()
    service().shift("api", {"v2": 30, "v1": 70}, 2)
    wrong = next(item for item in cloud.kept[NAME].deployed_models if item.id == IDS["v2"])
    wrong.model_version_id = "1"
    found = read(DeployedModel(HERE), IDS["v2"], deployed("v2"))
    assert DeployedModel(HERE).differs(deployed("v2"), found.inputs) == {"modelVersionId"}
    DeployedModel(HERE).update(IDS["v2"], deployed("v2"), deployed("v2"))
    assert read(DeployedModel(HERE), IDS["v2"], deployed("v2")).inputs == deployed("v2")
    assert split(cloud) == {IDS["v2"]: 30, IDS["v1"]: 70}
    assert len(cloud.kept[NAME].deployed_models) == 2


def test_a_model_is_the_same_by_the_projects_number(cloud: Cloud) -> None:
    both()
    for item in cloud.kept[NAME].deployed_models:
        item.model = item.model.replace("acme-ml", "4711")
    assert read(DeployedModel(HERE), IDS["v1"], deployed("v1")).inputs == deployed("v1")


def test_replicas_change_in_place(cloud: Cloud) -> None:
    DeployedModel(HERE).create(deployed())
    larger = {**deployed()["dedicatedResources"], "minReplicaCount": 3}
    assert not DeployedModel.immutable & DeployedModel(HERE).differs(deployed(), deployed(dedicatedResources=larger))
    DeployedModel(HERE).update(IDS["v1"], deployed(), deployed(dedicatedResources=larger))
    found = read(DeployedModel(HERE), IDS["v1"], deployed()).inputs["dedicatedResources"]
    assert found == larger


def test_what_serves_is_not_undeployed(cloud: Cloud) -> None:
    both()
    with pytest.raises(MlinfraError, match="serves 100 %"):
        DeployedModel(HERE).delete(IDS["v1"], deployed("v1"))
    for _ in range(2):
        DeployedModel(HERE).delete(IDS["v2"], deployed("v2"))
    assert [item.id for item in cloud.kept[NAME].deployed_models] == [IDS["v1"]]


def test_no_up_moves_a_request_after_a_shift(cloud: Cloud) -> None:
    both()
    service().shift("api", {"v2": 10, "v1": 90}, 2)
    TrafficSplit(HERE).update("traffic", traffic("v1"), traffic("v2", "v1"))
    assert split(cloud) == {IDS["v2"]: 10, IDS["v1"]: 90}
    found = read(TrafficSplit(HERE), "traffic", traffic("v2", "v1"))
    assert found.inputs["weights"] == {"v2": 10, "v1": 90}
    assert found.inputs["generation"] == 2
    assert TrafficSplit(HERE).differs(traffic("v2", "v1"), found.inputs) <= {"weights", "generation"}


def test_what_is_deployed_anew_gets_the_share_it_had(cloud: Cloud) -> None:
    """A larger machine: made beside under another id, given the share, and only then the old one goes."""
    both()
    service().shift("api", {"v2": 50, "v1": 50}, 2)
    anew = {**IDS, "v2": "1000000003"}
    DeployedModel(HERE).create(deployed("v2", deployedModelId=anew["v2"]))
    assert split(cloud) == {IDS["v1"]: 50, IDS["v2"]: 50}
    TrafficSplit(HERE).update("traffic", traffic("v2", "v1"), traffic("v2", "v1", ids=anew))
    assert split(cloud) == {IDS["v1"]: 50, anew["v2"]: 50}
    DeployedModel(HERE).delete(IDS["v2"], deployed("v2"))


def test_a_first_split_whose_connection_was_lost_is_done_by_the_next_up(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    ModelVersion(HERE).create(version("v1"))
    DeployedModel(HERE).create(deployed("v1"))
    with monkeypatch.context() as patched:
        patched.setattr(cloud, "update_endpoint", lambda request: _lost())
        with pytest.raises(MlinfraError, match="the connection was lost"):
            TrafficSplit(HERE).create(traffic("v1"))
    assert split(cloud) == {}
    TrafficSplit(HERE).create(traffic("v1"))
    assert split(cloud) == {IDS["v1"]: 100}


def _lost() -> None:
    raise ServiceUnavailable("the connection was lost")  # type: ignore[no-untyped-call]


def test_an_older_generation_and_a_second_writer_are_refused(cloud: Cloud) -> None:
    both()
    service().shift("api", {"v2": 10, "v1": 90}, 5)
    with pytest.raises(Refused, match="not newer than 5"):
        service().shift("api", {"v2": 100}, 5)
    with pytest.raises(MlinfraError, match="not deployed: v3"):
        service().shift("api", {"v3": 100}, 6)
    assert split(cloud) == {IDS["v2"]: 10, IDS["v1"]: 90}


def test_observe_says_what_really_serves(cloud: Cloud) -> None:
    assert service().observe("other").releases == ()
    both()
    seen = {item.release: item for item in service().observe("api").releases}
    assert {release: item.weight for release, item in seen.items()} == {"v1": 100, "v2": 0}
    assert seen["v1"].artifact == "sha256:v1"
    assert seen["v1"].replicas == 2
    assert seen["v1"].healthy
    assert (seen["v1"].image or "").endswith("serving@sha256:1")
    assert service().observe("api").url == f"http://10.0.0.2/v1/{NAME}:rawPredict"


def test_removing_the_split_lets_go_of_what_is_deployed(cloud: Cloud) -> None:
    both()
    TrafficSplit(HERE).delete("traffic", traffic("v2", "v1"))
    assert split(cloud) == {}
    assert "prod/endpoints/api/traffic.json" not in cloud.objects
    DeployedModel(HERE).delete(IDS["v1"], deployed("v1"))


def test_what_is_not_there_is_said(cloud: Cloud) -> None:
    cloud.kept.clear()
    assert TrafficSplit(HERE).read("traffic", traffic("v1")) is None
    with pytest.raises(MlinfraError, match="there is no endpoint"):
        TrafficSplit(HERE).create(traffic("v1"))


def test_a_definition_is_kept_in_the_bucket(cloud: Cloud) -> None:
    job = {
        **PLACE, "bucket": "data", "record": "prod/jobs/train.json", "displayName": "train", "labels": {},
        "jobSpec": {"scheduling": {"timeout": "600s"}}, "encryptionSpec": {"kmsKeyName": "k"}, "declared": {"a": 1},
    }  # fmt: skip
    id_, _ = CustomJob(HERE).create(job)
    assert read(CustomJob(HERE), id_, job).inputs == job
    CustomJob(HERE).update(id_, job, {**job, "declared": {"a": 2}})
    assert read(CustomJob(HERE), id_, job).inputs["declared"] == {"a": 2}
    assert set(custom_job.request(job)) == {"displayName", "labels", "jobSpec", "encryptionSpec"}
    for _ in range(2):
        CustomJob(HERE).delete(id_, job)
    assert CustomJob(HERE).read(id_, job) is None


@pytest.mark.parametrize("wrong", [{"minReplicas": 2}, {"machineSpec": {"machine": "x"}}])
def test_a_request_that_the_api_does_not_know_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="no field named"):
        deployed_model.request(deployed(dedicatedResources=wrong))
    with pytest.raises(Exception, match="no field named"):
        model_version.request(version(containerSpec={"image": "x"}), first=True)

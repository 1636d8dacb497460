"""The plugin's resources of SageMaker: made, changed, read and removed, each against what SageMaker does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError, Refused
from mlinfra.rollout.record import Phase, RolloutRecord
from mlinfra_providers.sagemaker import clients
from mlinfra_providers.sagemaker.resources.endpoint import Endpoint
from mlinfra_providers.sagemaker.resources.feature_columns import FeatureColumns
from mlinfra_providers.sagemaker.resources.model_version import ModelVersion
from mlinfra_providers.sagemaker.resources.traffic import TrafficSplit
from mlinfra_providers.sagemaker.service import SageMakerService
from tests.sagemaker.cloud import ACCOUNT, Cloud

PLACE = {"environment": "prod", "account": ACCOUNT, "region": "us-east-1"}
GUARD = {"blueGreenUpdatePolicy": {"terminationWaitInSeconds": 120}}
HERE = Path()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    monkeypatch.setattr(clients, "_client", lambda service, region: made.client(service))
    monkeypatch.setattr(clients, "_check_account", lambda account, region: None)
    monkeypatch.setattr("mlinfra_providers.sagemaker.clients.time.sleep", lambda _: None)
    made.configurations = {
        "one": [variant("v1", 1)],
        "two": [variant("v2", 0), variant("v1", 1)],
        "two-larger": [variant("v2", 0, "ml.m5.xlarge"), variant("v1", 1, "ml.m5.xlarge")],
        "new": [variant("v2", 1)],
    }
    made.models = {
        f"model-{release}": ModelVersion(HERE).create(version(release=release))[0] for release in ("v1", "v2")
    }
    return made


def variant(name: str, weight: float, machine: str = "ml.m5.large") -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": f"model-{name}",
        "InstanceType": machine,
        "InitialInstanceCount": 2,
        "InitialVariantWeight": weight,
    }


def endpoint(configuration: str, **changes: Any) -> dict[str, Any]:
    declared = {"name": "prod-api", "endpointConfigName": configuration, "bySteps": True, "deploymentConfig": GUARD}
    instances = {"v1": [2, 4], "v2": [2, 4]}
    return {**PLACE, **declared, "tags": {"owner": "me"}, "instances": instances, **changes}


def traffic(*releases: str, **changes: Any) -> dict[str, Any]:
    declared = {
        "endpoint": "prod-api", "bucket": "data", "record": "prod/endpoints/api/traffic.json", "variants": releases,
        "release": releases[0], "weights": {releases[0]: 100}, "generation": 0, "rollout": {"steps": [10, 100]},
    }  # fmt: skip
    return {**PLACE, **declared, **changes}


def service() -> SageMakerService:
    written = {"target": "sagemaker", "stacks": ["a"], "account": ACCOUNT, "region": "us-east-1", "bucket": "data"}
    return SageMakerService(Environment.model_validate({"name": "prod", **written}), HERE)


def deployed(cloud: Cloud, split: dict[str, int] | None = None) -> None:
    """Deploy v1, then v2 beside it, and give each its share."""
    Endpoint(HERE).create(endpoint("one"))
    TrafficSplit(HERE).create(traffic("v1"))
    Endpoint(HERE).update("prod-api", endpoint("one"), endpoint("two"))
    TrafficSplit(HERE).update("prod-api/traffic", traffic("v1"), traffic("v2", "v1"))
    if split:
        service().shift("api", split, 2, RolloutRecord(release="v2", phase=Phase.STEP, previous="v1"))
    cloud.calls.clear()


def test_nothing_serves_before_there_is_an_endpoint(cloud: Cloud) -> None:
    serving = service().observe("api")
    assert (serving.url, list(serving.releases), serving.generation) == (None, [], 0)


def test_a_first_release_serves_everything(cloud: Cloud) -> None:
    name, outputs = Endpoint(HERE).create(endpoint("one"))
    assert (name, outputs["arn"]) == ("prod-api", f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/prod-api")
    _, outputs = TrafficSplit(HERE).create(traffic("v1"))
    assert outputs["url"].endswith("/endpoints/prod-api/invocations")
    serving = service().observe("api")
    (served,) = serving.releases
    assert (serving.url, serving.generation) == (outputs["url"], 1)
    assert (served.release, served.weight, served.healthy, served.replicas) == ("v1", 100, True, 2)
    assert served.artifact == version()["artifact"]


def test_creating_twice_is_creating_once(cloud: Cloud) -> None:
    for _ in range(2):
        Endpoint(HERE).create(endpoint("one"))
        TrafficSplit(HERE).create(traffic("v1"))
    assert cloud.names().count("create_endpoint") == 1


def test_another_release_beside_gets_no_request(cloud: Cloud) -> None:
    deployed(cloud)
    assert cloud.weights("prod-api") == {"v2": 0, "v1": 100}


def test_a_change_of_the_configuration_moves_no_request(cloud: Cloud) -> None:
    deployed(cloud, {"v2": 50, "v1": 50})
    Endpoint(HERE).update("prod-api", endpoint("two"), endpoint("two-larger"))
    assert cloud.weights("prod-api") == {"v2": 50, "v1": 50}


def test_scaling_is_taken_off_for_another_machine_and_put_back(cloud: Cloud) -> None:
    deployed(cloud)
    ids = [f"endpoint/prod-api/variant/{release}" for release in ("v1", "v2")]
    cloud.targets = {each: {"MinCapacity": 2, "MaxCapacity": 4} for each in ids}
    cloud.policies = {each: [{"PolicyName": each, "PolicyType": "TargetTrackingScaling"}] for each in ids}
    before = (dict(cloud.targets), {key: list(value) for key, value in cloud.policies.items()})
    Endpoint(HERE).update("prod-api", endpoint("two"), endpoint("two-larger"))
    assert cloud.endpoints["prod-api"]["configuration"] == "two-larger"
    assert (cloud.targets, cloud.policies) == before


def test_a_release_that_serves_is_not_taken_away(cloud: Cloud) -> None:
    deployed(cloud)
    with pytest.raises(MlinfraError, match="v1 serves prod-api and is not declared any more"):
        Endpoint(HERE).update("prod-api", endpoint("two"), endpoint("new"))
    assert "update_endpoint" not in cloud.names()
    service().shift("api", {"v2": 100}, 2)
    Endpoint(HERE).update("prod-api", endpoint("two"), endpoint("new"))
    assert cloud.weights("prod-api") == {"v2": 100}


@pytest.mark.parametrize("reason", ["no capacity", ""])
def test_a_rollback_of_sagemakers_is_found(cloud: Cloud, reason: str) -> None:
    """With a reason and, which Terraform takes for a success, without one."""
    Endpoint(HERE).create(endpoint("one"))
    cloud.goes_back = reason
    with pytest.raises(MlinfraError, match="SageMaker took the endpoint prod-api back to one") as raised:
        Endpoint(HERE).update("prod-api", endpoint("one"), endpoint("two"))
    assert reason in raised.value.message


def test_an_update_is_guarded_where_the_variants_stay(cloud: Cloud) -> None:
    """A guarded one demands the same variants, so another release comes without."""
    deployed(cloud)
    Endpoint(HERE).update("prod-api", endpoint("two"), endpoint("two-larger"))
    service().shift("api", {"v2": 100}, 2)
    Endpoint(HERE).update("prod-api", endpoint("two-larger"), endpoint("new"))
    larger, without = [given for name, given in cloud.calls if name == "update_endpoint"]
    assert larger["DeploymentConfig"] == {"BlueGreenUpdatePolicy": {"TerminationWaitInSeconds": 120}}
    assert "DeploymentConfig" not in without


@pytest.mark.parametrize(("by_hand", "repaired"), [(9, 4), (1, 2), (3, 3)])
def test_instances_beyond_what_is_declared_are_seen_and_put_back(cloud: Cloud, by_hand: int, repaired: int) -> None:
    deployed(cloud, {"v2": 50, "v1": 50})
    cloud.endpoints["prod-api"]["variants"]["v2"]["DesiredInstanceCount"] = by_hand
    found = Endpoint(HERE).read("prod-api", endpoint("two"))
    assert found is not None
    assert (found.inputs == endpoint("two")) == (by_hand == repaired)
    Endpoint(HERE).update("prod-api", found.inputs, endpoint("two"))
    assert cloud.endpoints["prod-api"]["variants"]["v2"]["DesiredInstanceCount"] == repaired
    assert cloud.weights("prod-api") == {"v2": 50, "v1": 50}


@pytest.mark.parametrize("operation", ["create_endpoint", "update_endpoint"])
def test_a_request_that_was_done_and_not_answered_is_found_done(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """boto3 sends it again, and SageMaker says that the endpoint exists, or is being changed."""
    real = getattr(cloud, f"sagemaker_{operation}")

    def twice(**given: Any) -> Any:
        real(**given)
        return real(**given)

    monkeypatch.setattr(cloud, f"sagemaker_{operation}", twice)
    handler = Endpoint(HERE)
    handler.create(endpoint("one"))
    handler.update("prod-api", endpoint("one"), endpoint("two"))
    assert cloud.endpoints["prod-api"]["configuration"] == "two"


def test_an_endpoint_that_failed_is_not_left_behind(cloud: Cloud) -> None:
    """Nothing but deleting it can be done with it, and its name would be taken."""
    cloud.fails = "no capacity"
    with pytest.raises(MlinfraError, match="the endpoint prod-api does not serve: no capacity"):
        Endpoint(HERE).create(endpoint("one"))
    assert cloud.endpoints == {}
    cloud.sagemaker_create_endpoint("prod-api", "one", [])
    cloud.endpoints["prod-api"]["busy"] = 0
    real = cloud.sagemaker_delete_endpoint

    def delete(**given: Any) -> None:
        cloud.fails = None
        real(**given)

    cloud.sagemaker_delete_endpoint = delete  # type: ignore[method-assign, assignment]
    Endpoint(HERE).create(endpoint("one"))
    assert cloud.names().count("create_endpoint") == 2


def test_tags_are_changed_without_an_update(cloud: Cloud) -> None:
    deployed(cloud)
    Endpoint(HERE).update("prod-api", endpoint("two"), endpoint("two", tags={"team": "us"}))
    assert cloud.endpoints["prod-api"]["tags"] == {"team": "us"}
    assert "update_endpoint" not in cloud.names()


def test_what_is_read_is_what_is_in_force(cloud: Cloud) -> None:
    deployed(cloud, {"v2": 10, "v1": 90})
    cloud.endpoints["prod-api"]["tags"]["by"] = "hand"
    found = Endpoint(HERE).read("prod-api", endpoint("one"))
    assert found is not None
    assert (found.inputs["endpointConfigName"], found.inputs["tags"]) == ("two", {"owner": "me", "by": "hand"})
    split = TrafficSplit(HERE).read("prod-api/traffic", traffic("v2", "v1"))
    assert split is not None
    assert (split.inputs["weights"], split.inputs["generation"]) == ({"v2": 10, "v1": 90}, 2)
    assert split.outputs["remembered"]["phase"] == "step"


def test_an_up_after_a_shift_moves_no_request(cloud: Cloud) -> None:
    deployed(cloud, {"v2": 10, "v1": 90})
    handler = TrafficSplit(HERE)
    assert "weights" not in handler.differs(traffic("v2", "v1", weights={"v2": 10}), traffic("v2", "v1"))
    handler.update("prod-api/traffic", traffic("v1"), traffic("v2", "v1"))
    assert cloud.weights("prod-api") == {"v2": 10, "v1": 90}


def test_deleting_twice_is_deleting_once(cloud: Cloud) -> None:
    deployed(cloud)
    for _ in range(2):
        TrafficSplit(HERE).delete("prod-api/traffic", traffic("v2", "v1"))
        Endpoint(HERE).delete("prod-api", endpoint("two"))
    assert cloud.endpoints == {}
    assert cloud.objects == {}
    assert Endpoint(HERE).read("prod-api", endpoint("two")) is None
    assert TrafficSplit(HERE).read("prod-api/traffic", traffic("v2", "v1")) is None


def test_a_shift_waits_for_an_update_and_is_remembered(cloud: Cloud) -> None:
    deployed(cloud)
    cloud.endpoints["prod-api"]["busy"] = 3
    record = RolloutRecord(release="v2", phase=Phase.STEP, previous="v1", step=1)
    serving = service().shift("api", {"v2": 10, "v1": 90}, 2, record)
    assert {item.release: item.weight for item in serving.releases} == {"v2": 10, "v1": 90}
    assert serving.rollout is not None
    assert (serving.generation, serving.rollout.to_json()) == (2, record.to_json())
    assert service().shift("api", {"v2": 50, "v1": 50}, 3).rollout == serving.rollout, "what is kept stays"


@pytest.mark.parametrize("generation", [0, 1])
def test_a_generation_that_is_not_newer_is_refused(cloud: Cloud, generation: int) -> None:
    deployed(cloud)
    with pytest.raises(Refused, match="is not newer than 1"):
        service().shift("api", {"v2": 100}, generation)
    assert cloud.weights("prod-api") == {"v2": 0, "v1": 100}


def test_of_two_who_shift_at_once_one_is_refused(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(cloud)
    key = "prod/endpoints/api/traffic.json"
    real = cloud.s3_put_object

    def late(**given: Any) -> Any:
        cloud.objects[key] = b'{"generation": 9, "weights": {"v1": 100}, "rollout": null}'
        return real(**given)

    monkeypatch.setattr(cloud, "s3_put_object", late)
    with pytest.raises(Refused, match="at the same time"):
        service().shift("api", {"v2": 100}, 2)
    assert cloud.weights("prod-api") == {"v2": 0, "v1": 100}


def test_a_share_of_nobody_is_refused(cloud: Cloud) -> None:
    deployed(cloud)
    with pytest.raises(MlinfraError, match="no variant for v3"):
        service().shift("api", {"v3": 100}, 2)


def version(**changes: Any) -> dict[str, Any]:
    declared = {
        "modelPackageGroupName": "prod-model", "release": "v1", "artifact": "sha256:" + "a" * 64, "run": "run-1",
        "runtime": "sklearn", "runtimeVersion": "1.7.0", "modelApprovalStatus": "Approved",
        "image": "registry/serving@sha256:" + "1" * 64, "modelData": "s3://models/trees/aa/",
    }  # fmt: skip
    return {**PLACE, **declared, **changes}


def test_a_version_is_registered_once_and_stays(cloud: Cloud) -> None:
    handler = ModelVersion(HERE)
    arn, _ = handler.create(version())
    assert handler.create(version())[0] == arn
    assert handler.create(version(image="registry/serving@sha256:" + "2" * 64))[0] != arn
    handler.update(arn, version(), version(modelApprovalStatus="Rejected"))
    found = handler.read(arn, version())
    assert found is not None
    assert found.inputs["modelApprovalStatus"] == "Rejected"
    handler.delete(arn, version())
    assert handler.read(arn, version()) is not None
    assert handler.read(arn + "9", version()) is None


def columns(**kinds: str) -> dict[str, Any]:
    return {**PLACE, "featureGroupName": "prod-weather", "columns": kinds}


def test_columns_are_added_in_place_and_never_taken(cloud: Cloud) -> None:
    cloud.groups["prod-weather"] = {"wind": "Fractional"}
    handler = FeatureColumns(HERE)
    id_, _ = handler.create(columns(wind="Fractional"))
    assert "update_feature_group" not in cloud.names()
    handler.update(id_, columns(wind="Fractional"), columns(wind="Fractional", rain="Integral"))
    assert cloud.groups["prod-weather"] == {"wind": "Fractional", "rain": "Integral"}
    assert "prod-weather would lose wind" in str(handler.loses(columns(wind="Fractional"), columns(wind="Integral")))
    assert handler.loses(columns(wind="Fractional"), columns(wind="Fractional", rain="Integral")) is None
    with pytest.raises(Refused, match="wind has another type there"):
        handler.update(id_, columns(), columns(wind="Integral"))
    found = handler.read(id_, columns(wind="String", hail="Integral"))
    assert found is not None
    assert found.inputs["columns"] == {"wind": "Fractional"}, "rain was given up and stays; hail is not there"
    handler.delete(id_, columns())
    del cloud.groups["prod-weather"]
    assert handler.read(id_, columns()) is None


def test_other_credentials_write_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sts:
        def get_caller_identity(self) -> dict[str, str]:
            return {"Account": "999988887777"}

    monkeypatch.setattr(clients, "_client", lambda service, region: Sts())
    with pytest.raises(MlinfraError, match="the credentials are of the account 999988887777"):
        ModelVersion(HERE).create({**version(), "account": "123412341234"})

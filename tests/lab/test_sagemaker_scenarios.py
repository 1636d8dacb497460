"""What goes wrong at SageMaker, and what mlinfra makes of it: the adapter's own calls, on the emulated AWS.

The scenarios of all targets go through the command line; here each fault meets each operation, which takes no engine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.resources import Resource, Resources
from mlinfra.rollout.record import Phase, RolloutRecord
from mlinfra_providers.sagemaker import clients
from mlinfra_providers.sagemaker.resources.endpoint import Endpoint
from mlinfra_providers.sagemaker.resources.model_version import ModelVersion
from mlinfra_providers.sagemaker.resources.traffic import TrafficSplit
from mlinfra_providers.sagemaker.service import SageMakerService
from mlinfra_providers.sagemaker.strays import Strays
from tests.lab.aws.emulator import REGION
from tests.lab.aws.target import ACCOUNT, SageMakerTarget, running
from tests.lab.target import Fault
from tests.lab.test_serving import ROLE

HERE = Path()
NAME, BUCKET = "prod-api", "data"
PLACE = {"environment": "prod", "account": ACCOUNT, "region": REGION}
TAGS = {"environment": "prod", "managed-by": "mlinfra"}
LISTED = [{"Key": key, "Value": value} for key, value in TAGS.items()]
SCALED = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
READS = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["*"]}]}
)
MOST = 20
"""How often requests are throttled: more often than one is tried, so that the user sees it."""
GUARD = {
    "blueGreenUpdatePolicy": {
        "trafficRoutingConfiguration": {
            "type": "CANARY",
            "canarySize": {"type": "CAPACITY_PERCENT", "value": 10},
            "waitIntervalInSeconds": 300,
        }
    }
}


@pytest.fixture(scope="module")
def account() -> Iterator[SageMakerTarget]:
    """The lab, for this module alone."""
    with running() as target:
        yield target


@pytest.fixture
def lab(account: SageMakerTarget, monkeypatch: pytest.MonkeyPatch) -> Iterator[SageMakerTarget]:
    """An empty account with two models, and configurations of them; this process reaches it as mlinfra does."""
    account.empty()
    account.emulator.slow(0.1)
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    # a client that was throttled goes on slowly
    clients._client.cache_clear()
    account.emulator.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    api = account.emulator.sagemaker
    api.create_model_package_group(ModelPackageGroupName="prod-model")
    for release in ("v1", "v2"):
        arn, _ = ModelVersion(HERE).create(version(release))
        container = {"ModelPackageName": arn}
        api.create_model(ModelName=f"prod-{release}", ExecutionRoleArn=ROLE, PrimaryContainer=container, Tags=LISTED)
    configure(api, "prod-one", v1=1)
    configure(api, "prod-two", v2=0, v1=1)
    configure(api, "prod-two-larger", "ml.m5.xlarge", v2=0, v1=1)
    configure(api, "prod-new", v2=1)
    yield account
    clients._client.cache_clear()


def configure(api: Any, name: str, machine: str = "ml.m5.large", **weights: float) -> None:
    variants = [
        {"VariantName": release, "ModelName": f"prod-{release}", "InstanceType": machine, "InitialInstanceCount": 1,
         "InitialVariantWeight": weight}
        for release, weight in weights.items()
    ]  # fmt: skip
    api.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, Tags=LISTED)


def version(release: str) -> dict[str, Any]:
    return {
        **PLACE, "modelPackageGroupName": "prod-model", "release": release, "artifact": f"sha256:{release}", "run": "r",
        "runtime": "sklearn", "runtimeVersion": "1.7.0", "modelApprovalStatus": "Approved",
        "image": "registry/serving@sha256:" + "1" * 64, "modelData": "s3://models/trees/aa/",
    }  # fmt: skip


def endpoint(configuration: str) -> dict[str, Any]:
    return {
        **PLACE, "name": NAME, "endpointConfigName": configuration, "bySteps": True, "deploymentConfig": GUARD,
        "tags": TAGS, "instances": {"v1": [1, 2], "v2": [1, 2]},
    }  # fmt: skip


def traffic(*releases: str) -> dict[str, Any]:
    return {
        **PLACE, "endpoint": NAME, "bucket": BUCKET, "record": "prod/endpoints/api/traffic.json", "variants": releases,
        "release": releases[0], "weights": {releases[0]: 100}, "generation": 0, "rollout": {},
    }  # fmt: skip


def service() -> SageMakerService:
    written = {"target": "sagemaker", "stacks": ["a"], "account": ACCOUNT, "region": REGION, "bucket": BUCKET}
    return SageMakerService(Environment.model_validate({"name": "prod", **written}), HERE)


def weights() -> dict[str, int]:
    return {item.release: item.weight for item in service().observe("api").releases}


def serve(lab: SageMakerTarget, configuration: str = "prod-one") -> None:
    """Let v1 serve everything, scaled; with `prod-two`, v2 stands beside it."""
    Endpoint(HERE).create(endpoint("prod-one"))
    TrafficSplit(HERE).create(traffic("v1"))
    if configuration != "prod-one":
        Endpoint(HERE).update(NAME, endpoint("prod-one"), endpoint(configuration))
    scaling = lab.emulator.client("application-autoscaling")
    for item in lab.emulator.settled(NAME)["ProductionVariants"]:
        where = {**SCALED, "ResourceId": f"endpoint/{NAME}/variant/{item['VariantName']}"}
        scaling.register_scalable_target(**where, MinCapacity=1, MaxCapacity=2)


def scaled(lab: SageMakerTarget) -> dict[str, int]:
    """Return the upper bound of each variant that is scaled."""
    found = lab.emulator.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    return {item["ResourceId"].rpartition("/")[2]: item["MaxCapacity"] for item in found["ScalableTargets"]}


def tried(lab: SageMakerTarget, fault: str, do: Callable[[], object]) -> str | None:
    """Do something while a fault lasts; return what a user is told, None where it was done all the same."""
    lab.emulator.fault(fault, MOST if fault == Fault.THROTTLED else 1)
    try:
        do()
    except MlinfraError as error:
        return f"{error.message} {error.remedy}"
    finally:
        lab.heal()
    return None


TOLD = {
    "no-capacity": "InsufficientInstanceCapacity",
    "quota": "service limit 'ml.m5.large for endpoint usage'",
    "throttle": "Rate exceeded",
    "silent-rollback": "back to prod-one",
    "rollback-with-reason": "alarms have breached",
    "lost-before": None,
    "lost-after": None,
}
"""What a user reads of each fault; None: the request is sent again, and found done."""


@pytest.mark.parametrize(
    ("fault", "told"), [(fault, TOLD[fault]) for fault in ("no-capacity", "quota", "lost-before", "lost-after")]
)
def test_a_creation_that_fails_leaves_nothing_and_the_next_one_serves(
    lab: SageMakerTarget, fault: str, told: str | None
) -> None:
    said = tried(lab, fault, lambda: Endpoint(HERE).create(endpoint("prod-one")))
    assert (said is None) == (told is None), said
    assert told is None or told in (said or "")
    there = [line for line in lab.there() if line.startswith("Endpoint ")]
    assert there == ([] if told else [f"Endpoint {NAME}"])
    Endpoint(HERE).create(endpoint("prod-one"))
    assert weights() == {"v1": 100}


@pytest.mark.parametrize(("fault", "told"), list(TOLD.items()))
def test_an_update_that_fails_moves_no_request_and_the_next_one_is_done(
    lab: SageMakerTarget, fault: str, told: str | None
) -> None:
    serve(lab)

    def update() -> object:
        return Endpoint(HERE).update(NAME, endpoint("prod-one"), endpoint("prod-two"))

    said = tried(lab, fault, update)
    assert (said is None) == (told is None), said
    assert told is None or told in (said or "")
    assert weights()["v1"] == 100
    assert scaled(lab) == {"v1": 2}
    update()
    assert lab.emulator.settled(NAME)["EndpointConfigName"] == "prod-two"
    assert weights() == {"v2": 0, "v1": 100}
    assert lab.there().count(f"Endpoint {NAME}") == 1


@pytest.mark.parametrize(("fault", "told"), [item for item in TOLD.items() if item[0] in list(Fault)[3:]])
def test_a_shift_that_fails_is_told_and_can_be_made_again(lab: SageMakerTarget, fault: str, told: str | None) -> None:
    serve(lab, "prod-two")
    said = tried(lab, fault, lambda: service().shift("api", {"v2": 10, "v1": 90}, 2))
    assert (said is None) == (told is None), said
    generation = service().observe("api").generation
    service().shift("api", {"v2": 10, "v1": 90}, generation + 1)
    assert weights() == {"v2": 10, "v1": 90}


def test_a_change_of_machines_at_half_keeps_split_and_scaling(lab: SageMakerTarget) -> None:
    """SageMaker refuses it of a variant that is scaled, and resets the weights unless told to retain them."""
    serve(lab, "prod-two")
    service().shift("api", {"v2": 50, "v1": 50}, 2)
    Endpoint(HERE).update(NAME, endpoint("prod-two"), endpoint("prod-two-larger"))
    assert lab.emulator.settled(NAME)["EndpointConfigName"] == "prod-two-larger"
    assert weights() == {"v2": 50, "v1": 50}
    assert scaled(lab) == {"v1": 2, "v2": 2}


def test_a_release_is_retired_when_it_serves_nothing(lab: SageMakerTarget) -> None:
    serve(lab, "prod-two")
    with pytest.raises(MlinfraError, match="v1 serves prod-api and is not declared any more"):
        Endpoint(HERE).update(NAME, endpoint("prod-two"), endpoint("prod-new"))
    service().shift("api", {"v2": 100}, 2)
    Endpoint(HERE).update(NAME, endpoint("prod-two"), endpoint("prod-new"))
    assert weights() == {"v2": 100}
    assert scaled(lab) == {"v2": 2}


def test_who_was_killed_while_it_created_is_followed(lab: SageMakerTarget) -> None:
    lab.emulator.slow(1)
    lab.emulator.sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName="prod-one", Tags=LISTED)
    Endpoint(HERE).create(endpoint("prod-two"))
    assert lab.emulator.settled(NAME)["EndpointConfigName"] == "prod-two"


def test_what_was_changed_by_hand_is_read(lab: SageMakerTarget) -> None:
    serve(lab, "prod-two")
    service().shift("api", {"v2": 10, "v1": 90}, 2, RolloutRecord(release="v2", phase=Phase.STEP, previous="v1"))
    lab.shift_by_hand("prod", "api", {"v1": 70, "v2": 30})
    lab.scale_by_hand("prod", "api", "v1", 5)
    lab.swap_by_hand("prod", "api", "v1", "v2")
    serving = service().observe("api")
    assert {item.release: (item.weight, item.replicas, item.artifact) for item in serving.releases} == {
        "v2": (30, 1, "sha256:v2"),
        "v1": (70, 5, "sha256:v2"),
    }
    assert {item.image for item in serving.releases} == {version("v1")["image"]}
    found = Endpoint(HERE).read(NAME, endpoint("prod-two"))
    split = TrafficSplit(HERE).read(f"{NAME}/traffic", traffic("v2", "v1"))
    assert found is not None
    assert split is not None
    assert (found.inputs["endpointConfigName"], found.inputs["instances"]["v1"]) == ("prod-two-by-hand", [5, 5])
    assert (split.inputs["weights"], split.inputs["generation"]) == ({"v2": 30, "v1": 70}, 2)
    Endpoint(HERE).update(NAME, found.inputs, endpoint("prod-two"))
    repaired = service().observe("api")
    assert {item.release: (item.replicas, item.artifact) for item in repaired.releases} == {
        "v2": (1, "sha256:v2"),
        "v1": (2, "sha256:v1"),
    }
    assert weights() == {"v2": 30, "v1": 70}, "whoever shifts decides on the split"


def recorded(**names: str) -> Resources:
    """Return a state that has these: name by type."""
    types = {"Model": "model:Model", "EndpointConfig": "endpointConfiguration:EndpointConfiguration"}
    made = [
        Resource(f"urn:pulumi:prod::mlinfra::{kind}::{name}", f"aws:sagemaker/{types[kind]}", name, {"name": name})
        for kind, name in names.items()
    ]
    return Resources(made)


def test_what_a_killed_run_did_not_record_is_removed(lab: SageMakerTarget) -> None:
    serve(lab)
    api, roles = lab.emulator.sagemaker, lab.emulator.client("iam")
    api.create_pipeline(
        PipelineName="prod-train", PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": []}), RoleArn=ROLE,
        ClientRequestToken="0" * 32, Tags=LISTED,
    )  # fmt: skip
    roles.create_role(RoleName="prod-api", AssumeRolePolicyDocument="{}", Tags=LISTED)
    roles.put_role_policy(RoleName="prod-api", PolicyName="reads", PolicyDocument=READS)
    lab.emulator.client("logs").create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{NAME}", tags=TAGS)
    api.create_model(ModelName="prod-of-others", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "x"})
    state = recorded(Model="prod-v1", EndpointConfig="prod-new")
    assert list(Strays(clients.Clients(ACCOUNT, REGION), "prod").remove(Resources([]))) == [], "of no state is known"
    removed = service().restore(state)
    assert {line.partition(" was made")[0] for line in removed} == {
        "EndpointConfig prod-two", "EndpointConfig prod-two-larger", "Model prod-v2", "Pipeline prod-train",
        "Role prod-api", f"LogGroup /aws/sagemaker/Endpoints/{NAME}",
    }  # fmt: skip
    assert {line for line in lab.there() if not line.startswith(("Bucket", "Scalable"))} == {
        f"Endpoint {NAME}", "EndpointConfig prod-one", "EndpointConfig prod-new", "Model prod-v1",
        "Model prod-of-others", "ModelPackageGroup prod-model",
    }, "what serves, what is recorded, what belongs to others, what has versions"  # fmt: skip
    assert service().restore(state) == []


def test_an_older_stray_is_of_a_state_that_was_lost(lab: SageMakerTarget) -> None:
    strays = Strays(clients.Clients(ACCOUNT, REGION), "prod")
    strays.since = strays.since.fromtimestamp(time.time() + 60, strays.since.tzinfo)
    assert list(strays.remove(recorded(Model="prod-v1"))) == []


def test_down_ends_an_endpoint_that_no_state_has(lab: SageMakerTarget) -> None:
    lab.emulator.sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName="prod-one", Tags=LISTED)
    assert service().down(destroy_data=False) == ()
    left: Mapping[str, Any] = dict.fromkeys(line.split()[0] for line in lab.there())
    assert set(left) == {"Bucket", "ModelPackageGroup"}


@pytest.mark.parametrize("versioning", ["Enabled", "Suspended"])
def test_what_is_deleted_only_empty_is_emptied(
    lab: SageMakerTarget, versioning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions of objects, markers of deletions and versions of models: each of them keeps its resource there."""
    monkeypatch.setattr("mlinfra_providers.sagemaker.emptying.AT_ONCE", 2)
    s3, api = lab.emulator.client("s3"), lab.emulator.sagemaker
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"old", b"new"):
        s3.put_object(Bucket=BUCKET, Key="prod/a", Body=body)
        s3.put_object(Bucket=BUCKET, Key="prod/b", Body=body)
    s3.delete_object(Bucket=BUCKET, Key="prod/a")
    s3.put_object(Bucket="lab-artifacts", Key="trees/b", Body=b"kept")
    for name in ("prod-v1", "prod-v2"):
        api.delete_model(ModelName=name)
    bucket, group = "aws:s3/bucket:Bucket", "aws:sagemaker/modelPackageGroup:ModelPackageGroup"
    recorded = Resources(
        [
            Resource(f"urn:pulumi:prod::mlinfra::{kind}::{name}", kind, name, {}, id=name)
            for kind, name in ((bucket, BUCKET), (bucket, "lab-artifacts"), (group, "prod-model"), (group, "prod-gone"))
        ]
    )
    # a run that was ended in the middle has suspended it: AWS has no other way to take it back
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": versioning})
    for _ in range(2):
        service().empty(recorded)
    s3.delete_bucket(Bucket=BUCKET)
    api.delete_model_package_group(ModelPackageGroupName="prod-model")
    assert s3.list_objects_v2(Bucket="lab-artifacts")["KeyCount"] == 1, "a bucket of a stack's own is not emptied"


def test_scaling_that_is_off_already_is_told_as_not_found(lab: SageMakerTarget) -> None:
    """An endpoint's update takes the scaling of a variant that leaves off; the provider then finds it done."""
    serve(lab)
    scaling = lab.emulator.client("application-autoscaling")
    where = {**SCALED, "ResourceId": f"endpoint/{NAME}/variant/v1"}
    scaling.put_scaling_policy(
        **where, PolicyName="p", PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 5.0},
    )  # fmt: skip
    scaling.deregister_scalable_target(**where)
    assert scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.deregister_scalable_target(**where)
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.delete_scaling_policy(**where, PolicyName="p")

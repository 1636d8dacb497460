"""A platform on AWS, through the real engine: what pulumi_aws sends is made, seen, changed and gone again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.aws.emulator import Emulator
from tests.lab.aws.leftovers import leftovers
from tests.lab.conftest import program
from tests.lab.project import Project

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def platform(aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The platform, up."""
    aws.no_faults()
    aws.slow(0.3)
    project = Project(tmp_path_factory.mktemp("aws"), aws.environment)
    project.write(program("aws"))
    planned = project.preview()
    assert leftovers(aws) == [], "a preview makes nothing"
    done = project.up()
    assert sorted(done.changes) == sorted(planned.changes)
    yield project
    project.destroy()
    assert leftovers(aws) == []


def _serving(aws: Emulator) -> str:
    return str(aws.settled("flights")["EndpointConfigName"])


def test_nothing_changes_without_a_change(platform: Project) -> None:
    assert platform.preview().changes == []
    assert platform.refresh().changes == []
    assert platform.preview().changes == []


def test_what_was_declared_is_what_the_cloud_has(platform: Project, aws: Emulator) -> None:
    configuration = aws.sagemaker.describe_endpoint_config(EndpointConfigName=_serving(aws))
    assert configuration["ProductionVariants"][0]["InstanceType"] == "ml.m5.large"
    assert configuration["DataCaptureConfig"]["InitialSamplingPercentage"] == 20
    assert configuration["KmsKeyId"].startswith("arn:aws:kms:")
    group = aws.sagemaker.describe_feature_group(FeatureGroupName="weather")
    assert group["OnlineStoreConfig"]["TtlDuration"] == {"Unit": "Days", "Value": 14}
    assert group["OfflineStoreConfig"]["TableFormat"] == "Iceberg"
    bucket = platform.resources()["Bucket data"]["outputs"]["bucket"]
    encryption = aws.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    assert encryption["Rules"][0]["BucketKeyEnabled"] is True
    scaled = aws.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    assert scaled["ScalableTargets"][0]["MaxCapacity"] == 4


def test_no_secret_is_in_the_state(platform: Project) -> None:
    """The password is an environment variable, and a tag, from which `tagsAll` is derived."""
    assert "a-password-of-the-test" not in platform.state()
    told = platform.run("stack", "export", "--stack", "lab", "--show-secrets", expect=0).output
    assert told.count("a-password-of-the-test") >= 3


def test_a_new_configuration_comes_first_and_the_old_one_goes_last(platform: Project, aws: Emulator) -> None:
    before = _serving(aws)
    platform.environment["PROGRAM_SAMPLING"] = "30"
    assert ("update", "Endpoint flights") in platform.preview().changes
    assert _serving(aws) == before
    done = platform.up()
    assert [step for step in done.changes if step[0] != "replace"] == [
        ("create-replacement", "EndpointConfiguration flights"),
        ("update", "Endpoint flights"),
        ("delete-replaced", "EndpointConfiguration flights"),
    ]
    assert _serving(aws) != before
    names = [item["EndpointConfigName"] for item in aws.sagemaker.list_endpoint_configs()["EndpointConfigs"]]
    assert names == [_serving(aws)]


def test_what_can_change_in_place_does(platform: Project) -> None:
    platform.environment |= {"PROGRAM_DAYS": "30", "PROGRAM_COST_CENTER": "8"}
    changed = {operation for operation, _ in platform.up().changes}
    assert changed == {"update"}
    assert platform.refresh().changes == []
    assert platform.resources()["Topic alarms"]["outputs"]["tagsAll"]["cost-center"] == "8"


def test_changes_made_by_hand_are_seen_and_repaired(platform: Project, aws: Emulator) -> None:
    role = platform.resources()["Role serving"]["outputs"]["name"]
    aws.client("iam").tag_role(RoleName=role, Tags=[{"Key": "by-hand", "Value": "yes"}])
    aws.client("logs").delete_log_group(logGroupName="/aws/sagemaker/Endpoints/flights")
    aws.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId="endpoint/flights/variant/v-3f9c",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MaxCapacity=9,
    )
    seen = platform.refresh()
    assert "by-hand" in seen.output
    assert ("delete", "LogGroup flights") in seen.steps
    assert sorted(platform.up().changes) == [
        ("create", "LogGroup flights"),
        ("update", "Role serving"),
        ("update", "Target flights"),
    ]
    tags = {tag["Key"] for tag in aws.client("iam").list_role_tags(RoleName=role)["Tags"]}
    assert "by-hand" not in tags
    assert platform.refresh().changes == []


def test_a_wrong_value_is_refused_at_preview_with_its_path(platform: Project) -> None:
    platform.environment["PROGRAM_INSTANCE"] = "ml.m5.huge"
    told = platform.preview(expect=None)
    platform.environment["PROGRAM_INSTANCE"] = "ml.m5.large"
    assert told.code != 0
    assert "productionVariants[0].instanceType: 'ml.m5.huge' is not one of " in told.output
    assert "ml.m5.large" in told.output

"""What is left around the parts after a lost connection is removed where it is empty, named where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlinfra.environment import Environment
from mlinfra.resources import Resource, Resources
from mlinfra_providers.sagemaker import clients
from mlinfra_providers.sagemaker.around import key_description
from mlinfra_providers.sagemaker.service import SageMakerService
from mlinfra_providers.sagemaker.strays_around import StraysAround
from tests.lab.aws.emulator import REGION
from tests.lab.aws.target import ACCOUNT, SageMakerTarget, running
from tests.lab.test_serving import ROLE

TAGS = {"environment": "prod", "managed-by": "mlinfra"}
LISTED = [{"Key": key, "Value": value} for key, value in TAGS.items()]
OF_A_KEY = [{"TagKey": key, "TagValue": value} for key, value in TAGS.items()]
BUCKET = f"prod-mlinfra-{ACCOUNT}-{REGION}"
ENVIRONMENT = Environment.model_validate(
    {"name": "prod", "target": "sagemaker", "stacks": ["a"], "account": ACCOUNT, "region": REGION}
)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[SageMakerTarget]:
    with running() as target:
        target.emulator.slow(0.1)
        for name, value in target.environment.items():
            monkeypatch.setenv(name, value)
        clients._client.cache_clear()
        clients._check_account.cache_clear()
        yield target
        clients._client.cache_clear()
        clients._check_account.cache_clear()


def recorded(**ids: str) -> Resources:
    """Return a state that has these: id by the kind of its type."""
    made = [
        Resource(f"urn:pulumi:prod::mlinfra::aws:x/{kind}:{kind}::{id_}", f"aws:x/{kind}:{kind}", id_, {}, id=id_)
        for kind, id_ in ids.items()
    ]
    return Resources(made)


def tagged(kind: str) -> list[Mapping[str, Any]]:
    return [{"ResourceType": kind, "Tags": LISTED}]


def feature_group(lab: SageMakerTarget, name: str) -> None:
    lab.emulator.sagemaker.create_feature_group(
        FeatureGroupName=name,
        RecordIdentifierFeatureName="hour",
        EventTimeFeatureName="at",
        FeatureDefinitions=[
            {"FeatureName": "hour", "FeatureType": "String"},
            {"FeatureName": "at", "FeatureType": "String"},
        ],
        OnlineStoreConfig={"EnableOnlineStore": True},
        RoleArn=ROLE,
        Tags=LISTED,
    )


def left_behind(lab: SageMakerTarget) -> tuple[str, str]:
    """Make one of each, as an `up` does; return the ids of key and VPC."""
    of = lab.emulator.client
    key = of("kms").create_key(Tags=OF_A_KEY, Description=key_description(ENVIRONMENT))["KeyMetadata"]["KeyId"]
    of("kms").create_alias(AliasName="alias/prod-mlinfra", TargetKeyId=key)
    vpc = of("ec2").create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
    of("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", TagSpecifications=tagged("subnet"))
    of("ec2").create_security_group(
        VpcId=vpc, GroupName="prod", Description="d", TagSpecifications=tagged("security-group")
    )
    table = of("ec2").create_route_table(VpcId=vpc, TagSpecifications=tagged("route-table"))["RouteTable"]
    of("ec2").create_vpc_endpoint(
        VpcId=vpc,
        ServiceName=f"com.amazonaws.{REGION}.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[table["RouteTableId"]],
        TagSpecifications=tagged("vpc-endpoint"),
    )
    of("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    of("glue").create_database(DatabaseInput={"Name": "prod_features", "Description": "mlinfra: features"})
    limit = {"Amount": "10", "Unit": "USD"}
    budget = {"BudgetName": "prod-mlinfra", "BudgetLimit": limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"}
    of("budgets").create_budget(AccountId=ACCOUNT, Budget=budget)
    feature_group(lab, "prod-weather")
    return key, vpc


def budgets(lab: SageMakerTarget) -> list[str]:
    told = lab.emulator.client("budgets").describe_budgets(AccountId=ACCOUNT)
    return [item["BudgetName"] for item in told["Budgets"]]


def test_what_is_empty_is_removed_so_that_it_is_not_there_twice(lab: SageMakerTarget) -> None:
    key, vpc = left_behind(lab)
    before = set(lab.there())
    service = SageMakerService(ENVIRONMENT, Path())
    assert service.restore(Resources([])) == [], "of an empty state nothing is known"
    assert set(lab.there()) == before
    told = list(service.restore(recorded(Topic="prod-mlinfra-alarms")))
    assert sorted(line.split()[0] for line in told) == [
        "Alias", "Bucket", "Budget", "Database", "FeatureGroup", "Key", "RouteTable", "SecurityGroup", "Subnet", "Vpc",
        "VpcEndpoint",
    ]  # fmt: skip
    assert lab.there() == []
    assert budgets(lab) == []
    assert any(line.startswith(f"Key {key}") and "30 days" in line for line in told)
    assert any(line.startswith(f"Vpc {vpc}") for line in told)
    assert service.restore(recorded(Topic="prod-mlinfra-alarms")) == []


def test_what_is_recorded_stays(lab: SageMakerTarget) -> None:
    key, vpc = left_behind(lab)
    ec2 = lab.emulator.client("ec2")
    tags = [{"Name": "tag:managed-by", "Values": ["mlinfra"]}]
    of_the_network = {
        "Vpc": vpc,
        "Subnet": ec2.describe_subnets(Filters=tags)["Subnets"][0]["SubnetId"],
        "SecurityGroup": ec2.describe_security_groups(Filters=tags)["SecurityGroups"][0]["GroupId"],
        "RouteTable": ec2.describe_route_tables(Filters=tags)["RouteTables"][0]["RouteTableId"],
        "VpcEndpoint": ec2.describe_vpc_endpoints(Filters=tags)["VpcEndpoints"][0]["VpcEndpointId"],
    }
    state = recorded(
        Key=key, Alias="alias/prod-mlinfra", Bucket=BUCKET, CatalogDatabase=f"{ACCOUNT}:prod_features",
        Budget=f"{ACCOUNT}:prod-mlinfra", FeatureGroup="prod-weather", **of_the_network,
    )  # fmt: skip
    before = lab.there()
    assert SageMakerService(ENVIRONMENT, Path()).restore(state) == []
    assert lab.there() == before
    assert budgets(lab) == ["prod-mlinfra"]


def test_what_holds_something_is_named_with_a_way_out(lab: SageMakerTarget) -> None:
    _, vpc = left_behind(lab)
    of = lab.emulator.client
    of("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.9.0/24")  # somebody else's
    of("s3").put_object(Bucket=BUCKET, Key="prod/a", Body=b"a")
    of("glue").create_table(DatabaseName="prod_features", TableInput={"Name": "rows"})
    told = SageMakerService(ENVIRONMENT, Path()).restore(recorded(Topic="prod-mlinfra-alarms"))
    named = [line for line in told if "is in no state, and not empty, so it stays" in line]
    assert [line.split()[:2] for line in named] == [["Database", "prod_features"], ["Bucket", BUCKET], ["Vpc", vpc]]
    there = {line.split()[0] for line in lab.there()}
    assert there == {"Bucket", "Database", "Vpc"}


def test_what_is_old_belongs_to_a_state_that_was_lost(lab: SageMakerTarget) -> None:
    left_behind(lab)
    since = lab.emulator.client("kms").describe_key(KeyId="alias/prod-mlinfra")["KeyMetadata"]["CreationDate"]
    service = clients.Clients(ACCOUNT, REGION)
    around = StraysAround(service, ENVIRONMENT, since + timedelta(hours=1))
    told = {line.split()[0] for line in around.remove(recorded(Topic="prod-mlinfra-alarms"))}
    assert not told & {"Key", "FeatureGroup", "VpcEndpoint"}


def test_what_has_the_same_tags_and_is_not_ours_to_remove_stays(lab: SageMakerTarget) -> None:
    """The key of the state is made by `mlinfra bootstrap`; a second network may be another repository's."""
    of = lab.emulator.client
    said = "mlinfra: the state of prod, and the secrets in it"
    key = of("kms").create_key(Tags=OF_A_KEY, Description=said)["KeyMetadata"]["KeyId"]
    ours, other = (
        of("ec2").create_vpc(CidrBlock=block, TagSpecifications=tagged("vpc"))["Vpc"]["VpcId"]
        for block in ("10.0.0.0/16", "10.1.0.0/16")
    )
    for vpc, block in ((ours, "10.0.0.0/24"), (other, "10.1.0.0/24")):
        of("ec2").create_subnet(VpcId=vpc, CidrBlock=block, TagSpecifications=tagged("subnet"))
    told = SageMakerService(ENVIRONMENT, Path()).restore(recorded(Vpc=ours))
    assert [line.split()[0] for line in told] == ["Subnet"]
    left = of("ec2").describe_subnets(Filters=[{"Name": "tag:managed-by", "Values": ["mlinfra"]}])["Subnets"]
    assert [item["VpcId"] for item in left] == [other]
    assert of("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"

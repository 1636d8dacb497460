"""Offline: the plan of the example environment, what it costs, what the rules say, and what its names are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mlinfra.adapters import load_adapter
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.policy.check import check
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Verdict
from mlinfra.policy.ruleset import ruleset
from mlinfra.policy.settings import Settings
from mlinfra.prices.book import snapshot
from mlinfra.prices.estimate import estimate
from mlinfra.problems import Problems
from mlinfra.resources import UNKNOWN, Resource, Resources
from mlinfra.testing.judge import Judge, record_resolved, resolve_scene
from mlinfra.testing.specimens import KINDS, SMALL
from mlinfra.testing.variations import Scene
from mlinfra_policies.accelerators import carried
from mlinfra_providers.instances import machines
from mlinfra_providers.sagemaker.adapter import SageMaker
from mlinfra_providers.sagemaker.replacing import REPLACED_BY
from tests.reference import Reference, protected
from tests.sagemaker import botocore_model, wire

MADE = {"network": None, "encryption": None}


def of(resources: Resources, token: str) -> list[Resource]:
    return [resource for resource in resources.declared() if resource.type == token]


@pytest.mark.parametrize("released", [0, 1, 2])
@pytest.mark.parametrize("changes", [{}, MADE], ids=["existing", "made"])
def test_no_rule_is_violated(reference: Reference, released: int, changes: dict[str, Any]) -> None:
    inspection = Inspection(reference(released, **changes), Settings(budget_monthly_usd=1500))
    found = [finding for finding in check(inspection, ruleset()) if finding.answer.verdict is Verdict.VIOLATION]
    assert [f"{finding.rule.id} {finding.resource.urn} {finding.answer.message}" for finding in found] == []


def test_what_serves_and_what_watches_is_priced(reference: Reference) -> None:
    made = estimate(reference(2), snapshot())
    items = {(item.part, str(item.price.key)) for item in made.items}
    assert ("endpoints.flight-delay", "SageMaker realtime-hosting ml.m5.large") in items
    assert ("drift_monitors.flight-delay", "SageMaker processing ml.m5.large") in items
    assert made.monthly is not None
    assert made.monthly.low > 0
    unpriced = {item.resource.type.partition(":")[0] for item in made.unpriced}
    assert "mlinfra" not in unpriced


def test_stateful_things_are_protected(reference: Reference) -> None:
    assert protected(reference(2, **MADE)) == {
        "aws:glue/catalogDatabase:CatalogDatabase",
        "aws:kms/key:Key",
        "aws:s3/bucket:Bucket",
        # a bucket that stays must stay closed and encrypted
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:sagemaker/featureGroup:FeatureGroup",
        "aws:sagemaker/modelPackageGroup:ModelPackageGroup",
    }


def test_a_configuration_is_named_by_its_content(reference: Reference) -> None:
    token = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    name = "endpoints.flight-delay.scale"
    before = reference(2)
    tagged = reference(2, tags={"team": "another"})
    larger = reference(2, override={name: {"min": 3, "max": 4, "target_rps": 50}})
    names = [{item.urn: item.inputs["name"] for item in of(found, token)} for found in (before, tagged, larger)]
    assert names[0] == names[1], "tags are changed in place"
    assert set(names[0]) != set(names[2]), "another content is another resource: created before, deleted after"
    assert set(names[0].values()) != set(names[2].values()), "and has another name: both are there for a while"


def test_a_new_release_begins_without_a_share(reference: Reference) -> None:
    for configuration in of(reference(2), "aws:sagemaker/endpointConfiguration:EndpointConfiguration"):
        weights = [item["initialVariantWeight"] for item in configuration.inputs["productionVariants"]]
        assert weights == [0, 1]
    for configuration in of(reference(1), "aws:sagemaker/endpointConfiguration:EndpointConfiguration"):
        assert [item["initialVariantWeight"] for item in configuration.inputs["productionVariants"]] == [1]


def test_a_new_column_replaces_nothing(reference: Reference) -> None:
    for group in of(reference(0), "aws:sagemaker/featureGroup:FeatureGroup"):
        assert group.ignore_changes == ("featureDefinitions",)
        (columns,) = [
            item
            for item in of(reference(0), "mlinfra:sagemaker:FeatureColumns")
            if item.inputs["featureGroupName"] == group.inputs["featureGroupName"]
        ]
        declared = {item["featureName"]: item["featureType"] for item in group.inputs["featureDefinitions"]}
        assert columns.inputs["columns"] == declared


def test_roles_name_what_they_may_do(reference: Reference) -> None:
    """No action of all, and no resource of all but where the action takes no narrower one."""
    wide = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
    for resource in of(reference(2), "aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(resource.inputs["policy"])["Statement"]:
            assert not [action for action in statement["Action"] if action.endswith(":*")]
            if statement["Resource"] == ["*"]:
                assert {action for action in statement["Action"] if not action.startswith("ec2:")} <= wide


def test_what_replaces_is_known_of_every_type(reference: Reference) -> None:
    types = {item.type for item in reference(2, **MADE).declared() if item.type.startswith("aws:")}
    assert types == set(REPLACED_BY) & types


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_the_longest_names_fit(kind: type[Part]) -> None:
    adapter = load_adapter("sagemaker")
    longest = "a0-" + "b" * 60
    scene = Scene(replace(SMALL[kind], name=longest), {"name": "c" * 63})
    wrong = []
    for resource in record_resolved(adapter, resolve_scene(adapter, scene)).declared():
        if resource.type in wire.OPERATIONS:
            api, operation = wire.OPERATIONS[resource.type]
            wrong += botocore_model.problems(api, operation, wire.arguments(api, operation, resource.inputs))
        for key in ("name", "bucket", "endpoint"):
            value = resource.inputs.get(key)
            if resource.type.startswith("mlinfra:") and isinstance(value, str):
                assert len(value) <= 63
    assert wrong == []


def test_the_gpus_of_machines_are_those_that_the_rules_know() -> None:
    for machine in machines("mlinfra_providers.sagemaker"):
        assert carried(machine.name) == machine.gpus


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"account": "acme"}, "account", "12 digits"),
        ({"account": None}, "account", "12 digits"),
        ({"region": None}, "region", "needs the region"),
        ({"images": None}, "images", "none is named"),
        ({"encryption": {"key": "alias/acme-ml"}}, "encryption.key", "by its ARN"),
        ({"bucket": "s3://acme"}, "bucket", "bare name"),
        ({"artifacts": "gs://acme"}, "artifacts", "from S3 only"),
        ({"state": "file:///tmp/x"}, "state", "on this machine"),
        ({"network": {"vpc": "vpc-1"}}, "network.subnets", "by its subnets"),
        ({"network": {"subnets": ["subnet-1"]}}, "network.vpc", "in which VPC"),
        ({"network": {"vpc": "vpc-1", "subnets": ["s"], "security_groups": ["g"]}}, "network.vpc", "they are in it"),
        ({"network": None, "region": "us-west-1"}, "network", "not every account has"),
        ({"namespace": "ml"}, "namespace", "has no use for this"),
    ],
)
def test_a_place_that_is_wrong_is_refused(changes: dict[str, Any], field: str, said: str, example: Environment) -> None:
    environment = Environment.model_validate({**example.model_dump(), "name": "prod", **changes})
    found = {path: (reason, way_out) for path, reason, way_out in SageMaker().refuse_environment(environment)}
    assert said in found[field][0]
    assert found[field][1]
    assert set(found) == {field}


def test_parameters_that_do_not_fit_are_refused() -> None:
    job = replace(SMALL[KINDS[1]], params={f"p{number}": "x" * 50 for number in range(12)})  # type: ignore[call-arg]
    observed = Judge(SageMaker()).observe(Scene(job))
    assert not isinstance(observed, Resources)
    assert "at most 512 characters" in str(Problems(observed))


def test_only_a_known_change_of_the_online_store_takes_its_rows() -> None:
    """The key's ARN is not known in a plan, and a tag of the key makes it no other one."""
    group = "aws:sagemaker/featureGroup:FeatureGroup"

    def inputs(key: str, **more: Any) -> dict[str, Any]:
        store = {"enableOnlineStore": True, "securityConfig": {"kmsKeyId": key}, **more}
        return {"featureGroupName": "prod-weather", "onlineStoreConfig": store}

    adapter = SageMaker()
    assert adapter.loses(group, inputs("arn:1"), inputs(UNKNOWN, ttlDuration={"unit": "Days", "value": 2})) is None
    assert "would be made anew" in str(adapter.loses(group, inputs("arn:1"), inputs("arn:2")))
    assert "would be made anew" in str(adapter.loses(group, inputs("arn:1"), {"featureGroupName": "prod-weather"}))

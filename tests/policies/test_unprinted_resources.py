"""A preview may leave out a role or a security group that does not change; what changes beside it is judged."""

from __future__ import annotations

import pytest

from mlinfra.policy.check import check
from mlinfra.policy.inspection import Inspection
from mlinfra.resources import UNKNOWN, Resource, Resources
from mlinfra_policies.catalogue import rules

ROLE = "aws:iam/role:Role"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


def urn(token: str) -> str:
    return f"urn:pulumi:dev::example::{token}::example"


@pytest.mark.parametrize(
    ("rule", "token", "inputs", "reference", "left_out", "used_by"),
    [
        (
            "IAM-01",
            ATTACHMENT,
            {"policyArn": "arn:aws:iam::aws:policy/IAMFullAccess"},
            "role",
            ROLE,
            "executionRoleArn",
        ),
        ("NET-03", INGRESS, {"cidrIpv4": "0.0.0.0/0"}, "securityGroupId", GROUP, "vpcConfig"),
    ],
)
@pytest.mark.parametrize("used", [True, False])
def test_it_is_judged_where_an_ml_resource_uses_what_is_left_out(
    rule: str, token: str, inputs: dict[str, str], reference: str, left_out: str, used_by: str, used: bool
) -> None:
    changed = Resource(
        urn(token), token, "example", {**inputs, reference: UNKNOWN}, property_dependencies={reference: [urn(left_out)]}
    )
    model = "aws:sagemaker/model:Model"
    value = {"subnets": [UNKNOWN], "securityGroupIds": [UNKNOWN]} if used_by == "vpcConfig" else UNKNOWN
    uses = {used_by: [urn(left_out if used else "pulumi:pulumi:StackReference")]}
    user = Resource(urn(model), model, "example", {used_by: value}, property_dependencies=uses)
    [judge] = [each for each in rules() if each.id == rule]
    found = check(Inspection(Resources([changed, user], left_out=1)), [judge])
    assert [each.answer.verdict for each in found if each.resource is changed] == (["violation"] if used else [])


@pytest.mark.parametrize(("left_out", "verdicts"), [(0, ["unknown"]), (1, [])])
def test_a_key_that_is_not_printed_is_one_of_the_stack_only_where_some_are_left_out(
    left_out: int, verdicts: list[str]
) -> None:
    token = "gcp:vertex/aiEndpoint:AiEndpoint"
    sources = {"encryptionSpec": [urn("gcp:kms/cryptoKey:CryptoKey")]}
    endpoint = Resource(
        urn(token), token, "example", {"encryptionSpec": {"kmsKeyName": UNKNOWN}}, property_dependencies=sources
    )
    [judge] = [each for each in rules() if each.id == "ENC-01"]
    found = check(Inspection(Resources([endpoint], left_out=left_out)), [judge])
    assert [each.answer.verdict for each in found] == verdicts

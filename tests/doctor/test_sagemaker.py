"""What doctor tells of an account, asked of the emulated AWS."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from mlinfra.adapters import Instance
from mlinfra_providers.sagemaker.bootstrap import AwsFoundation
from mlinfra_providers.sagemaker.doctor import examine
from tests.bootstrap.environments import GITHUB, environment
from tests.doctor.parts import MOST, parts
from tests.lab.aws.emulator import REGION, Emulator, running

pytestmark = pytest.mark.engine

ACCOUNT = "123456789012"
MACHINE = Instance("ml.m5.large", 2, 8)
SERVING, TRAINING = "ml.m5.large for endpoint usage", "ml.m5.large for training job usage"
PLACE = {"account": ACCOUNT, "region": REGION}
Findings = dict[str, tuple[bool | None, str]]


@pytest.fixture(scope="module")
def aws() -> Iterator[Emulator]:
    with running() as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def reached(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.quotas({SERVING: 2 * MOST, TRAINING: 1})
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)


def _become(aws: Emulator, monkeypatch: pytest.MonkeyPatch, policy: str | None) -> None:
    """Use the credentials of a user with this policy."""
    iam, name = aws.client("iam"), f"ci-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    if policy is not None:
        iam.put_user_policy(UserName=name, PolicyName="mlinfra", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])


def _granted() -> str:
    """The policy that `mlinfra bootstrap` gives to CI."""
    from mlinfra_providers.sagemaker.permissions import needed

    place = environment("sagemaker", **PLACE)
    return AwsFoundation(place, GITHUB).rights(needed(place))


def _told(**changes: object) -> Findings:
    place = environment("sagemaker", **{**PLACE, **changes})
    return {subject: (good, detail) for subject, good, detail, _ in examine(place, parts(MACHINE))}


def test_whoever_has_what_bootstrap_grants_is_told_so(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for bucket in ("acme-state", "acme-models"):
        aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    key = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    aws.client("kms").create_alias(AliasName="alias/acme-state", TargetKeyId=key)
    _become(aws, monkeypatch, _granted())
    told = _told()
    assert told["credentials"][0] is True
    assert told["credentials"][1].startswith(f"arn:aws:iam::{ACCOUNT}:user/ci-")
    assert {subject: good for subject, (good, _) in told.items() if not good} == {}
    assert told["state"][1].startswith("acme-state is there")
    assert told[f"quota: {SERVING}"] == (
        True, f"{2 * MOST} are needed (2 fleets), the account may have {2 * MOST}, other environments included",
    )  # fmt: skip


def test_what_is_not_there_and_not_allowed_is_named(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads(_granted())
    for statement in document["Statement"]:
        if "sagemaker:CreateEndpoint" in statement["Action"]:
            statement["Action"].remove("sagemaker:CreateEndpoint")
    _become(aws, monkeypatch, json.dumps(document))
    told = _told(state="s3://nobodys-state", secrets_provider="awskms://alias/nobodys")
    assert told["state"] == (False, "there is no bucket nobodys-state")
    assert told["key"] == (False, "there is no key alias/nobodys")
    assert told["permissions: parts"] == (False, "not allowed: sagemaker:CreateEndpoint")
    assert told["permissions: artifacts"][0] is True


def test_nobody_without_rights_is_told_yes(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    _become(aws, monkeypatch, None)
    told = _told()
    assert all(good is False for subject, (good, _) in told.items() if subject.startswith("permissions"))


def test_quotas_count_two_fleets(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.quotas({SERVING: 2 * MOST - 1})
    told = _told()
    assert told[f"quota: {SERVING}"][0] is False
    assert told[f"quota: {TRAINING}"] == (None, "1 are needed; Service Quotas knows none of this name")


def test_whose_rights_nobody_can_simulate_is_unknown(aws: Emulator) -> None:
    """The emulator's own user is none of IAM's."""
    told = _told()
    unknown = [good for subject, (good, _) in told.items() if subject.startswith("permissions")]
    assert unknown
    assert set(unknown) == {None}


def test_another_account_is_refused_before_anything_is_asked(aws: Emulator) -> None:
    told = _told(account="999999999999")
    assert list(told) == ["credentials"]
    assert told["credentials"][0] is False
    assert f"the credentials are of the account {ACCOUNT}" in told["credentials"][1]


def test_a_region_that_is_none(aws: Emulator) -> None:
    """Its name could be one; nothing is asked in it."""
    told = _told(region="eu-north-9")
    assert list(told) == ["credentials", "region"]
    assert told["region"] == (False, "AWS has no region eu-north-9")

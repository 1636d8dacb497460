"""What is registered for each cloud, against golden files, and what must hold of it whatever it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlinfra.adapters import load_adapter
from mlinfra.foundation import ARTIFACTS, CI, CI_PLAN, KEY, STATE, Foundation, SourceHost
from mlinfra.record import record
from mlinfra.resources import Resource, Resources
from tests.bootstrap.environments import GITHUB, GITLAB, NEW, environment

GOLDEN = Path(__file__).parents[1] / "golden"
TARGETS = sorted(NEW)
Declared = Callable[..., tuple[Foundation, Resources]]


@pytest.fixture(scope="module")
def declared() -> Declared:
    known: dict[str, tuple[Foundation, Resources]] = {}

    def declare(target: str, source: SourceHost | None = GITHUB, **changes: Any) -> tuple[Foundation, Resources]:
        name = repr((target, source, sorted(changes.items())))
        if name not in known:
            foundation = load_adapter(target).foundation(environment(target, **changes), source)
            keys = [thing.key for thing in foundation.things if not thing.elsewhere]
            made = record(lambda: foundation.declare(keys), project="mlinfra-bootstrap", stack="prod")
            known[name] = foundation, made
        return known[name]

    return declare


def _of(resources: Resources, kind: str) -> list[Resource]:
    return [item for item in resources.all if item.type.rsplit(":", 1)[-1] == kind]


@pytest.mark.parametrize("target", TARGETS)
def test_golden(declared: Declared, target: str) -> None:
    shown = [item.to_json() for item in declared(target)[1].all]
    path = GOLDEN / f"bootstrap_on_{target}.json"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(json.dumps(shown, indent=2, sort_keys=True) + "\n")
    assert shown == json.loads(path.read_text()), "UPDATE_GOLDEN=1 writes it again; then read the difference"


@pytest.mark.parametrize("target", TARGETS)
def test_names_are_those_of_the_file(declared: Declared, target: str) -> None:
    foundation, _ = declared(target)
    named = " ".join(thing.name for thing in foundation.things)
    wanted = {
        "sagemaker": ("acme-state", "acme-models", "alias/acme-state"),
        "vertex": ("acme-state", "acme-models", "keyRings/mlinfra/cryptoKeys/state"),
        "azureml": ("acmemlinfra/state", "acmemlinfra/models", "acme-ml/state"),
        "kubernetes": ("s3://acme-state", "s3://acme-models/models", "hashivault://mlinfra-state", "flights"),
    }
    for name in wanted[target]:
        assert name in named


@pytest.mark.parametrize("target", TARGETS)
def test_each_thing_is_a_component_of_its_own(declared: Declared, target: str) -> None:
    """By it the state tells which things were made here."""
    foundation, resources = declared(target)
    made = {item.name for item in resources.all if item.type == "mlinfra:bootstrap:Thing"}
    assert made == {thing.key for thing in foundation.things if not thing.elsewhere}
    provided = [item for item in resources.all if item.custom and not item.type.startswith("pulumi:")]
    assert all("mlinfra:bootstrap:Thing" in item.parent for item in provided)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_there_is_not_declared(declared: Declared, target: str) -> None:
    foundation = load_adapter(target).foundation(environment(target), GITHUB)
    made = record(lambda: foundation.declare([CI_PLAN] if target == "kubernetes" else [ARTIFACTS]),
                  project="mlinfra-bootstrap", stack="prod")  # fmt: skip
    things = {item.name for item in made.all if item.type == "mlinfra:bootstrap:Thing"}
    assert things <= {CI_PLAN, ARTIFACTS}
    assert len(things) <= 1


def test_buckets_of_aws_are_private_encrypted_and_versioned(declared: Declared) -> None:
    _, resources = declared("sagemaker")
    assert {item.name for item in _of(resources, "Bucket")} == {STATE, ARTIFACTS}
    for kind in ("BucketVersioning", "BucketPublicAccessBlock", "BucketServerSideEncryptionConfiguration"):
        assert {item.name for item in _of(resources, kind)} == {STATE, ARTIFACTS}, kind
    for item in _of(resources, "BucketPublicAccessBlock"):
        assert all(item.inputs[name] is True for name in item.inputs if name.startswith(("block", "ignore", "restr")))
    for item in _of(resources, "BucketPolicy"):
        assert "aws:SecureTransport" in item.inputs["policy"]


def test_roles_of_aws_are_taken_by_one_repository_and_never_widen_themselves(declared: Declared) -> None:
    _, resources = declared("sagemaker")
    trust = {item.name: json.loads(item.inputs["assumeRolePolicy"])["Statement"] for item in _of(resources, "Role")}
    subject = "token.actions.githubusercontent.com:sub"
    assert trust[CI][0]["Condition"]["StringEquals"][subject] == "repo:acme/flights:ref:refs/heads/main"
    assert trust[CI_PLAN][0]["Condition"]["StringEquals"][subject] == "repo:acme/flights:pull_request"
    rights = {item.name: json.loads(item.inputs["policy"])["Statement"] for item in _of(resources, "RolePolicy")}
    for statements in rights.values():
        assert any(item["Effect"] == "Deny" and "iam:Put*" in item["Action"] for item in statements)
        allowed = [action for item in statements if item["Effect"] == "Allow" for action in item["Action"]]
        assert not [action for action in allowed if action.endswith(":*") or action == "*"]
    plan = [action for item in rights[CI_PLAN] if item["Effect"] == "Allow" for action in item["Action"]]
    assert not [action for action in plan if not action.partition(":")[2].startswith(("Get", "List", "Decr", "Desc"))]
    assert max(len(item.inputs["policy"]) for item in _of(resources, "RolePolicy")) < 10_240, "the limit of IAM"


def test_gitlab_is_trusted_by_its_own_issuer(declared: Declared) -> None:
    _, resources = declared("sagemaker", GITLAB)
    trust = {item.name: json.loads(item.inputs["assumeRolePolicy"])["Statement"][0] for item in _of(resources, "Role")}
    condition = trust[CI]["Condition"]["StringEquals"]
    assert condition["gitlab.com:sub"] == "project_path:acme/ml/flights:ref_type:branch:ref:main"
    assert trust[CI_PLAN]["Condition"]["StringLike"]["gitlab.com:sub"].endswith("ref:*")
    assert trust[CI_PLAN]["Condition"]["StringEquals"] == {"gitlab.com:aud": "sts.amazonaws.com"}


def test_a_pool_of_google_takes_one_repository(declared: Declared) -> None:
    _, resources = declared("vertex")
    (provider,) = _of(resources, "WorkloadIdentityPoolProvider")
    assert provider.inputs["attributeCondition"] == "assertion.repository == 'acme/flights'"
    for bucket in _of(resources, "Bucket"):
        assert bucket.inputs["publicAccessPrevention"] == "enforced"
        assert bucket.inputs["uniformBucketLevelAccess"] is True
        assert bucket.inputs["versioning"] == {"enabled": True}


def test_azure_has_no_keys_that_are_nobodys(declared: Declared) -> None:
    _, resources = declared("azureml")
    (account,) = _of(resources, "StorageAccount")
    assert account.inputs["allowSharedKeyAccess"] is False
    assert account.inputs["allowBlobPublicAccess"] is False
    (policy,) = _of(resources, "ManagementPolicy")
    for rule in policy.inputs["policy"]["rules"]:
        assert rule["definition"]["filters"]["prefixMatch"] == ["models/mlinfra/captured/"], "no model is deleted"
    assert _of(resources, "Registry")[0].inputs["adminUserEnabled"] is False
    (role,) = _of(resources, "RoleDefinition")
    assert not [action for action in role.inputs["permissions"][0]["actions"] if "*" in action]
    gitlab, _ = declared("azureml", GITLAB)
    assert CI_PLAN in gitlab.left_out, "a federated credential takes no wildcard"


def test_accounts_of_a_cluster_have_rights_in_one_namespace_and_see_no_secrets(declared: Declared) -> None:
    _, resources = declared("kubernetes")
    assert not _of(resources, "ClusterRole")
    for item in _of(resources, "Role"):
        assert item.inputs["metadata"]["namespace"] == "flights"
        for rule in item.inputs["rules"]:
            assert "secrets" not in rule["resources"]
            assert "*" not in [*rule["resources"], *rule["verbs"], *rule["apiGroups"]]
    assert all(item.inputs["automountServiceAccountToken"] is False for item in _of(resources, "ServiceAccount"))


@pytest.mark.parametrize("target", TARGETS)
def test_without_a_known_host_ci_is_left_out_and_says_why(declared: Declared, target: str) -> None:
    foundation, resources = declared(target, None)
    assert target == "kubernetes" or "origin" in foundation.left_out[CI]
    assert target == "kubernetes" or not foundation.variables
    assert resources.all


@pytest.mark.parametrize("target", ["sagemaker", "vertex", "azureml"])
def test_a_key_of_another_place_is_only_named(declared: Declared, target: str) -> None:
    foundation, resources = declared(target, secrets_provider="hashivault://mine")
    (key,) = [thing for thing in foundation.things if thing.key == KEY]
    assert key.elsewhere
    assert KEY not in {item.name for item in resources.all if item.type == "mlinfra:bootstrap:Thing"}
    foundation, _ = declared(target, secrets_provider=None)
    assert "passphrase" in foundation.left_out[KEY]


def test_everything_that_the_stacks_register_in_a_cluster_is_granted() -> None:
    from mlinfra_providers.kubernetes.permissions import NEEDED

    granted = {(rule.group, resource) for rule in NEEDED for resource in rule.resources}
    registered = json.loads((GOLDEN / "reference_on_kubernetes_2.json").read_text())
    for item in registered:
        kind, version = item["inputs"].get("kind"), item["inputs"].get("apiVersion", "")
        if kind in (None, "Namespace"):
            continue
        plural = f"{kind.lower()[:-1]}ies" if kind.endswith("y") else f"{kind.lower()}s"
        assert (version.rpartition("/")[0], plural) in granted, item["type"]


def test_actions_of_aws_are_in_its_api() -> None:
    """Actions of SageMaker, IAM, KMS and the like are called as the operations of the API are."""
    import botocore.session

    from mlinfra_providers.sagemaker.permissions import needed

    session = botocore.session.get_session()
    same = {"sagemaker", "iam", "kms", "glue", "events", "scheduler", "application-autoscaling", "ecr"}
    elsewhere = {"iam:PassRole"}
    runtimes = {
        "sagemaker:InvokeEndpoint": "sagemaker-runtime",
        "sagemaker:BatchWriteRecord": "sagemaker-featurestore-runtime",
    }
    for grant in needed(environment("sagemaker")):
        for action in grant.actions:
            service, _, name = action.partition(":")
            model = runtimes.get(action, service)
            if service in same and action not in elsewhere:
                assert name in session.get_service_model(model).operation_names, action

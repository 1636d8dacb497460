"""`mlinfra bootstrap` by the real engine: on the emulated AWS, and on a real Kubernetes API server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlinfra.foundation_stack import FoundationStack
from mlinfra.operations.bootstrap import foundation_of
from mlinfra.repository import Repository
from mlinfra_engine.install import ensure
from tests.bootstrap.environments import text
from tests.lab.aws.emulator import REGION, Emulator
from tests.lab.azure.emulator import running as running_azure
from tests.lab.gcp.emulator import running as running_gcp
from tests.lab.kubernetes.apiserver.server import Server
from tests.lab.project import install

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

ACCOUNT = "123456789012"
SECONDS = 1200
_FOREIGN = ("AWS_", "PULUMI_", "MLINFRA_", "KUBE", "CI_", "GITHUB_")
ROLES = ("prod-mlinfra-ci", "prod-mlinfra-ci-plan")
CHECKPOINT = ".pulumi/stacks/mlinfra-bootstrap/prod.json"


@dataclass
class Clone:
    """A clone of the team's repository on one machine."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run mlinfra, and return what it said."""
        ran = subprocess.run(
            [sys.executable, "-m", "mlinfra_cli", *arguments],
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        told = ran.stdout + ran.stderr
        assert ran.returncode == expect, told
        assert "Traceback" not in told
        return told

    def write(self, text: str, name: str = "prod") -> None:
        """Write the file of an environment."""
        (self.folder / "environments" / f"{name}.yaml").write_text(text)

    def another(self, folder: Path) -> Clone:
        """Return a clone on another machine: what git does not know is not there."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".mlinfra"))
        return Clone(folder, self.environment)


def _clone(folder: Path, environment: Mapping[str, str]) -> Clone:
    own = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    install(folder / "pulumi")
    clone = Clone(
        folder / "platform",
        {
            **own,
            **ensure(lambda _: None).environment(),
            "PULUMI_HOME": str(folder / "pulumi"),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **environment,
        },
    )
    subprocess.run(
        [sys.executable, "-m", "mlinfra_cli", "init", str(clone.folder)], check=True, env=dict(clone.environment)
    )
    subprocess.run(["git", "init", "-q"], cwd=clone.folder, check=True)
    subprocess.run(["git", "remote", "add", "origin", "https://github.com/acme/flights"], cwd=clone.folder, check=True)
    return clone


def _state(aws: Emulator, bucket: str) -> str:
    host = aws.url.removeprefix("http://")
    return f"s3://{bucket}?region={REGION}&endpoint={host}&disableSSL=true&s3ForcePathStyle=true"


def _sagemaker(aws: Emulator, models: str = "acme-models") -> str:
    return f"""target: sagemaker
stacks: [example]
account: "{ACCOUNT}"
region: {REGION}
state: {_state(aws, "acme-state")}
artifacts: s3://{models}/models
secrets_provider: awskms://alias/acme-state
"""


@pytest.fixture(scope="module")
def made(aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, str]:
    """A clone whose environment was bootstrapped, and what it said. The bucket of models was somebody else's before."""
    aws.no_faults()
    aws.client("s3").create_bucket(Bucket="acme-models", CreateBucketConfiguration={"LocationConstraint": REGION})
    clone = _clone(tmp_path_factory.mktemp("bootstrap"), aws.environment)
    clone.write(_sagemaker(aws))
    return clone, clone.run("bootstrap", "prod", "--yes")


def test_everything_is_made_once_and_what_was_there_is_left_alone(made: tuple[Clone, str], aws: Emulator) -> None:
    clone, told = made
    s3, iam = aws.client("s3"), aws.client("iam")
    assert "prod is ready for its first up" in told
    assert "there    artifacts: acme-models" in told
    assert "it keeps no versions" in told
    assert s3.get_bucket_versioning(Bucket="acme-models").get("Status") is None, "it is somebody else's"
    assert s3.get_bucket_versioning(Bucket="acme-state")["Status"] == "Enabled"
    blocked = s3.get_public_access_block(Bucket="acme-state")["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    encryption = s3.get_bucket_encryption(Bucket="acme-state")["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert aws.client("kms").describe_key(KeyId="alias/acme-state")["KeyMetadata"]["Enabled"]
    assert {role["RoleName"] for role in iam.list_roles()["Roles"]} >= set(ROLES)
    assert f"MLINFRA_PROD_AWS_ROLE=arn:aws:iam::{ACCOUNT}:role/prod-mlinfra-ci" in told
    assert not (clone.folder / ".mlinfra" / "bootstrap" / "prod" / "state").exists(), "the state is in the bucket"


def test_the_next_run_on_another_machine_changes_nothing(
    made: tuple[Clone, str], aws: Emulator, tmp_path: Path
) -> None:
    kept = aws.client("s3").head_object(Bucket="acme-state", Key=CHECKPOINT)["ETag"]
    told = made[0].another(tmp_path / "other").run("bootstrap", "prod", "--yes")
    assert "everything is there; nothing was changed" in told
    assert "made     state: acme-state" in told
    assert aws.client("s3").head_object(Bucket="acme-state", Key=CHECKPOINT)["ETag"] == kept


def test_what_was_removed_by_hand_is_made_again(made: tuple[Clone, str], aws: Emulator) -> None:
    clone, _ = made
    ecr = aws.client("ecr")
    ecr.delete_repository(repositoryName="mlinfra-serving")
    told = clone.run("bootstrap", "prod", expect=2)
    assert "create   images-1: mlinfra-serving" in told
    assert "there is no terminal here; nothing was made" in told
    assert ecr.describe_repositories()["repositories"] == []
    told = clone.run("bootstrap", "prod", "--yes")
    assert "1 resource made or changed" in told
    assert ecr.describe_repositories(repositoryNames=["mlinfra-serving"])["repositories"]


def test_kubernetes(empty_aws: Emulator, kubernetes: Server, tmp_path: Path) -> None:
    """The cluster's own things are made; where state and models are kept is only looked for."""
    s3 = empty_aws.client("s3")
    clone = _clone(tmp_path, {**empty_aws.environment, **kubernetes.environment})
    file = f"""target: kubernetes
stacks: [example]
context: lab
namespace: bootstrapped
state: {_state(empty_aws, "acme-cluster-state")}
artifacts: s3://acme-cluster-models/models
"""
    clone.write(file)
    told = clone.run("bootstrap", "prod", "--yes", expect=3)
    assert "missing  state: " in told
    assert "is not there, and keeps the state of what is made" in told
    for bucket in ("acme-cluster-state", "acme-cluster-models"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    told = clone.run("bootstrap", "prod", "--yes")
    assert "prod is ready for its first up" in told
    cluster = kubernetes.cluster
    assert cluster.get("/api/v1/namespaces/bootstrapped")["metadata"]["labels"]["environment"] == "prod"
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/bootstrapped/roles"
    assert {item["metadata"]["name"] for item in cluster.get(roles)["items"]} == {"mlinfra-ci", "mlinfra-ci-plan"}
    assert json.loads(s3.get_object(Bucket="acme-cluster-state", Key=CHECKPOINT)["Body"].read())["version"] == 3
    told = clone.another(tmp_path / "other").run("bootstrap", "prod", "--yes")
    assert "everything is there; nothing was changed" in told


def _declared(clone: Clone, file: str, monkeypatch: pytest.MonkeyPatch) -> FoundationStack:
    """Make everything by the real engine, and check that the state knows it and nothing differs."""
    for name, value in clone.environment.items():
        monkeypatch.setenv(name, value)
    clone.write(file)
    repository = Repository(clone.folder)
    place, foundation = foundation_of(repository, "prod")
    stack = FoundationStack(repository, place, ensure(lambda _: None), at_home=True)
    wanted = {thing.key for thing in foundation.things}
    stack.want(wanted)
    assert stack.up(lambda _: None).errors == []
    assert stack.made()[0] == wanted
    assert stack.differences() == 0
    return stack


def test_google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program by the real engine, in the emulated project: all of it is taken, in an order that Google takes it."""
    with running_gcp() as gcp:
        _declared(_clone(tmp_path, gcp.environment), text("vertex"), monkeypatch)
        there = gcp.there()
        for kind in ("Bucket", "CryptoKey", "WorkloadIdentityPoolProvider", "Account", "Repository"):
            assert any(line.startswith(f"{kind} ") or f":{kind} " in line for line in there), (kind, there)


def test_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in an emulated subscription, in a resource group that is made first."""
    with running_azure() as azure:
        file = text("azureml").replace("acme-ml", "acme-new").replace("acmemlinfra", "acmenewmlinfra")
        stack = _declared(_clone(tmp_path, azure.environment), file, monkeypatch)
        kinds = {item["type"].rpartition(":")[2] for item in stack.export()["checkpoint"]["latest"]["resources"]}
        assert kinds >= {"ResourceGroup", "StorageAccount", "BlobContainer", "Vault", "Key", "Registry",
                         "FederatedIdentityCredential", "RoleDefinition", "RoleAssignment"}  # fmt: skip

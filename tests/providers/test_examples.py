"""The example environments of all targets: explained, accepted, planned without credentials and without an SDK."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlinfra.adapters import load_adapter
from mlinfra.operations.plan import plan
from mlinfra.operations.session import Session
from mlinfra.repository import Repository
from tests.reference import EXAMPLES, ROOT, example_of

TARGETS = ("sagemaker", "vertex", "azureml", "kubernetes")
SDKS = (
    "pulumi", "pulumi_aws", "boto3", "botocore", "pulumi_gcp", "google.auth", "google.cloud.aiplatform_v1",
    "google.cloud.storage", "pulumi_azure_native", "azure.identity", "azure.core", "azure.ai.ml",
    "pulumi_kubernetes", "kubernetes", "httpx",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_every_option_is_explained(target: str) -> None:
    text = (EXAMPLES / f"{target}.yaml").read_text()
    place = load_adapter(target).place
    assert [field for field in place if f"\n{field}:" not in text and f"# {field}:" not in text] == []
    for block in text.split("\n\n")[1:]:
        assert block.startswith("#"), block


@pytest.mark.parametrize("target", TARGETS)
def test_it_is_accepted(target: str) -> None:
    assert list(load_adapter(target).refuse_environment(example_of(target))) == []


@pytest.mark.parametrize("target", TARGETS)
def test_a_plan_without_credentials_says_that_it_compares_with_nothing(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stacks", "policies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    (tmp_path / "environments").mkdir()
    shutil.copy(EXAMPLES / f"{target}.yaml", tmp_path / "environments" / "prod.yaml")
    monkeypatch.setattr(Session, "known_stack", lambda self: None)
    made = plan(Repository(tmp_path), "prod")
    assert made.unread is not None
    assert str(example_of(target).state) in made.unread
    assert made.to_json()["state_unread"] == made.unread
    assert made.review is not None
    assert made.review.checked.counts["mandatory"] == 0


@pytest.mark.parametrize("target", TARGETS)
def test_no_sdk_is_imported_before_it_is_used(target: str) -> None:
    code = (
        "import sys\nfrom mlinfra.adapters import load_adapter\nimport mlinfra_cli.commands\n"
        "from mlinfra.declarations.compute import Compute\n"
        f"adapter = load_adapter({target!r})\nadapter.instance(Compute())\n"
        f"adapter.replaced_by('mlinfra:{target}:Traffic')\n"
        f"print([name for name in {SDKS!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert found.stdout.strip() == "[]", found.stdout + found.stderr

"""Repositories of environments alone: nothing but their files is read for pipelines."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlinfra.operations.pipelines import HOSTS, Pipelines, pipelines
from mlinfra.repository import Repository
from tests.go_programs import CannotBuild
from tests.pipelines.actionlint.build import actionlint as built

Make = Callable[..., Repository]
Written = Mapping[str, Pipelines]

EVERYTHING = {
    "dev": "target: local\nstacks: [flights]\ntrain: true\n",
    "staging": "target: sagemaker\nstacks: [flights]\naccept_from: [dev]\ntick_every: 1m\nstate: gs://acme-state\n",
    "prod-eu": (
        "target: azureml\nstacks: [flights, fares]\naccept_from: [staging]\ntick_every: 90m\nsigned_by: key.pub\n"
        "secrets_provider: azurekeyvault://acme.vault.azure.net/keys/mlinfra\n"
    ),
    "prod-us": "target: vertex\nstacks: [flights]\naccept_from: [staging]\nstate: s3://acme-state\n",
    "lab": "target: kubernetes\nstacks: [fares]\n",
}
"""Every target, every cloud; two prods that take releases from one staging."""


def written_in(root: Path, environments: Mapping[str, str]) -> Repository:
    for name, text in environments.items():
        (root / "environments").mkdir(parents=True, exist_ok=True)
        (root / "environments" / f"{name}.yaml").write_text(text)
    for folder in ("flights", "fares", "common"):
        (root / "stacks" / folder).mkdir(parents=True, exist_ok=True)
    (root / "Pulumi.yaml").write_text("name: mlinfra\n")
    return Repository(root)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a repository with these environments."""
    return lambda environments=EVERYTHING: written_in(tmp_path / "platform", environments)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The pipelines of each host for all environments; the repository is not to be changed."""
    repository = written_in(tmp_path_factory.mktemp("written"), EVERYTHING)
    return {host: pipelines(repository, host) for host in HOSTS}


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """The linter; in CI it must be there."""
    try:
        return built()
    except CannotBuild as why:
        if os.environ.get("CI"):
            pytest.fail(f"actionlint must run in CI: {why}")
        pytest.skip(f"no actionlint: {why}")

"""A repository with one environment of which nothing exists, and no credentials of any cloud."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlinfra_cli.commands import app
from tests.bootstrap.environments import text

Run = Callable[..., Result]
_SECRETS = ("AWS_", "GOOGLE_", "CLOUDSDK_", "AZURE_", "ARM_", "KUBE", "CI_", "GITHUB_", "GITEA_", "MLINFRA_")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as `mlinfra init` makes it, with a remote on GitHub."""
    folder = tmp_path_factory.mktemp("made") / "platform"
    assert CliRunner().invoke(app, ["init", str(folder)]).exit_code == 0
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "remote", "add", "origin", "git@github.com:acme/flights.git"], cwd=folder, check=True)
    return folder


@pytest.fixture
def repository(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the current folder, in an environment that knows no credentials."""
    import os

    for name in list(os.environ):
        if name.startswith(_SECRETS):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KUBECONFIG", str(home / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    folder = tmp_path / "platform"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def write(repository: Path) -> Callable[..., None]:
    """Write environments/prod.yaml for a target."""

    def write_it(target: str, more: str = "") -> None:
        (repository / "environments" / "prod.yaml").write_text(text(target, more))

    return write_it


@pytest.fixture
def run() -> Run:
    """Run a command; stdout and stderr are apart in what it returns."""

    def invoke(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=given, prog_name="mlinfra")

    return invoke

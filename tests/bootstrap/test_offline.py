"""Without credentials: what would be made is shown, nothing is made, and what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlinfra.foundation import Found
from mlinfra.problems import MlinfraError
from tests.bootstrap.conftest import Run

CREDENTIALS = {
    "sagemaker": "there are no credentials of AWS here",
    "vertex": "there are no credentials of Google here",
    "azureml": "there are no credentials of Azure here",
    "kubernetes": "there are no credentials of the cluster acme here",
}
Write = Callable[..., None]


class _NoAzure:
    def get_token(self, *_: str) -> None:
        from azure.core.exceptions import ClientAuthenticationError

        raise ClientAuthenticationError("nothing is logged in here")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure's credential would try for a minute whom it may ask."""
    monkeypatch.setattr("mlinfra_providers.azureml.clients._credential", _NoAzure)


@pytest.mark.parametrize("target", sorted(CREDENTIALS))
def test_the_plan_is_shown_and_the_missing_credentials_are_named(
    write: Write, run: Run, repository: Path, target: str
) -> None:
    write(target)
    result = run("bootstrap", "prod", "--yes")
    assert result.exit_code == 3, result.output
    assert f"prod on {target} needs, before its first up:" in result.stdout
    assert "needed   state: " in result.stdout
    assert "keeps the state of Pulumi" in result.stdout
    assert f"nothing was made: {CREDENTIALS[target]}" in result.stderr
    assert "→ " in result.stderr
    assert "Traceback" not in result.output
    assert not (repository / ".mlinfra" / "bootstrap").exists()


@pytest.mark.parametrize("target", sorted(CREDENTIALS))
def test_doctor_names_the_missing_credentials(run: Run, write: Write, target: str, repository: Path) -> None:
    digest = "0" * 64
    registry = {
        "sagemaker": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/serving",
        "vertex": "europe-west4-docker.pkg.dev/acme-ml-prod/mlinfra/serving",
        "azureml": "acmeml.azurecr.io/serving",
        "kubernetes": "registry.example.com/serving",
    }[target]
    image = f"{registry}@sha256:{digest}"
    write(target, f"images: {{serving: '{image}', training: '{image}'}}\n")
    result = run("doctor", "prod")
    assert result.exit_code in (1, 2), result.output
    if result.exit_code == 1:
        assert f"bad      credentials: {CREDENTIALS[target]}" in result.stdout
    assert "Traceback" not in result.output


def test_local_needs_nothing(run: Run, repository: Path) -> None:
    result = run("bootstrap", "dev")
    assert result.exit_code == 0
    assert result.stdout == "dev: local needs nothing before the first up\n"


def test_wrong_use(run: Run, write: Write, repository: Path) -> None:
    write("sagemaker")
    result = run("bootstrap", "prdo")
    assert result.exit_code == 2
    assert "did you mean 'prod'?" in result.stderr
    result = run("doctor", "prdo")
    assert result.exit_code == 2
    assert "did you mean 'prod'?" in result.stderr


def test_every_missing_field_is_named_at_once(run: Run, repository: Path) -> None:
    (repository / "environments" / "prod.yaml").write_text("target: sagemaker\nstacks: [example]\n")
    result = run("bootstrap", "prod", "--yes")
    assert result.exit_code == 2
    for field in ("account", "region", "state", "artifacts"):
        assert f": {field}: " in result.stderr, field
    assert "images" not in result.stderr, "nothing was pushed yet"


class _Foundation:
    """Says what was found, and declares nothing."""

    found: Mapping[str, Found] = {}

    def __init__(self, inner: object) -> None:
        self.things = inner.things  # type: ignore[attr-defined]
        self.left_out = inner.left_out  # type: ignore[attr-defined]
        self.variables = inner.variables  # type: ignore[attr-defined]
        self.declare = inner.declare  # type: ignore[attr-defined]

    def find(self) -> Mapping[str, Found]:
        return {thing.key: self.found.get(thing.key, Found(False)) for thing in self.things}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, Found]], None]:
    """Let AWS answer this."""
    from mlinfra_providers.sagemaker.adapter import SageMaker

    inner = SageMaker.foundation

    def say(answers: Mapping[str, Found]) -> None:
        def foundation(self: SageMaker, environment: object, source: object) -> _Foundation:
            made = _Foundation(inner(self, environment, source))  # type: ignore[arg-type]
            made.found = answers
            return made

        monkeypatch.setattr(SageMaker, "foundation", foundation)

    return say


def test_nobody_is_asked_where_there_is_no_terminal(
    run: Run, write: Write, found: Callable[[Mapping[str, Found]], None]
) -> None:
    write("sagemaker")
    found({})
    result = run("bootstrap", "prod")
    assert result.exit_code == 2
    assert "create   state: acme-state" in result.stdout
    assert "there is no terminal here; nothing was made" in result.stderr
    assert "mlinfra bootstrap prod --yes" in result.stderr


def test_what_may_be_there_is_not_made(
    run: Run, write: Write, found: Callable[[Mapping[str, Found]], None], repository: Path
) -> None:
    """A bucket of this name may be somebody else's."""
    write("sagemaker")
    found({"state": Found(None, "these credentials may not ask (head bucket)")})
    result = run("bootstrap", "prod", "--yes")
    assert result.exit_code == 3
    assert "unknown  state: acme-state" in result.stdout
    assert "state acme-state: these credentials may not ask (head bucket)" in result.stderr
    assert not (repository / ".mlinfra" / "bootstrap").exists()


def test_another_run_is_waited_for_by_nobody(
    run: Run, write: Write, found: Callable[[Mapping[str, Found]], None], repository: Path
) -> None:
    from mlinfra.operations.alone import alone
    from mlinfra.repository import Repository

    write("sagemaker")
    found({})
    with alone(Repository(repository), "prod", "mlinfra up prod"):
        result = run("bootstrap", "prod", "--yes")
    assert result.exit_code == 1
    assert "another run holds the lock of prod: mlinfra up prod" in result.stderr


def test_an_interruption_leaves_no_traceback(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    write("sagemaker")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mlinfra.operations.bootstrap.survey", interrupted)
    result = run("bootstrap", "prod", "--yes")
    assert result.exit_code == 130
    assert "mlinfra bootstrap prod" in result.stderr
    assert "Traceback" not in result.output


def test_an_error_of_a_cloud_is_readable(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    from mlinfra_providers.sagemaker.asking import Asking

    def refused(self: Asking) -> None:
        raise MlinfraError("the credentials are of the account 999", remedy="choose the profile")

    write("sagemaker")
    monkeypatch.setattr(Asking, "check_account", refused)
    result = run("bootstrap", "prod", "--yes")
    assert result.exit_code == 3
    assert "nothing was made: the credentials are of the account 999" in result.stderr


def test_doctor_of_a_local_environment_asks_the_machine(run: Run, repository: Path) -> None:
    result = run("doctor", "dev", "--json")
    printed = json.loads(result.stdout)
    assert set(printed) == {"version", "good", "findings"}
    (memory,) = [finding for finding in printed["findings"] if finding["subject"] == "memory"]
    assert memory["good"] in (True, None)
    assert "two fleets" in memory["detail"]
    assert result.exit_code == (0 if printed["good"] else 1)

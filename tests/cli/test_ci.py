"""mlinfra ci: printed, written, checked; and what is somebody else's is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]

PATHS = {
    "github": ".github/workflows/mlinfra.yml",
    "gitlab": ".gitlab-ci.yml",
    "gitea": ".gitea/workflows/mlinfra.yml",
}


@pytest.mark.parametrize("host", PATHS)
def test_printed_written_and_checked(repository: Path, run: Run, host: str) -> None:
    printed = run("ci", host)
    assert (printed.exit_code, printed.stderr) == (0, "")
    missing = run("ci", host, "--check")
    assert missing.exit_code == 1
    assert f"{PATHS[host]} is not that of today's environments" in missing.stderr
    assert f"mlinfra ci {host} --write" in missing.stderr
    wrote = run("ci", host, "--write")
    assert (wrote.exit_code, wrote.stdout) == (0, f"wrote {PATHS[host]}\n")
    assert (repository / PATHS[host]).read_text() == printed.stdout
    assert run("ci", host, "--check").stdout == f"{PATHS[host]} is current\n"
    (repository / "environments" / "new.yaml").write_text("target: local\nstacks: [diabetes]\n")
    assert run("ci", host, "--check").exit_code == 1
    assert run("ci", host, "--write").exit_code == 0
    assert run("ci", host, "--check").exit_code == 0


@pytest.mark.parametrize("host", ["github", "gitea"])
def test_a_file_of_somebody_else_is_left(repository: Path, run: Run, host: str) -> None:
    path = repository / PATHS[host]
    path.parent.mkdir(parents=True)
    path.write_text("name: ours\n")
    result = run("ci", host, "--write")
    assert result.exit_code == 3
    assert f"{PATHS[host]} was not written by mlinfra ci" in result.stderr
    assert path.read_text() == "name: ours\n"


def test_gitlab_gets_a_file_to_include_beside_somebody_elses(repository: Path, run: Run) -> None:
    (repository / ".gitlab-ci.yml").write_text("test: {script: [make test]}\n")
    result = run("ci", "gitlab", "--write")
    assert result.stdout == (
        "wrote .gitlab/mlinfra.yml\n  add to .gitlab-ci.yml: include: [{local: .gitlab/mlinfra.yml}]\n"
    )
    assert (repository / ".gitlab-ci.yml").read_text() == "test: {script: [make test]}\n"
    assert run("ci", "gitlab", "--check").exit_code == 0
    assert "stages" not in (repository / ".gitlab" / "mlinfra.yml").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["githb"], "no pipelines for 'githb' (did you mean 'github'?)"),
        (["github", "--write", "--check"], "exclude each other"),
        ([], "Missing argument 'HOST'"),
    ],
)
def test_wrong_use(repository: Path, run: Run, arguments: list[str], said: str) -> None:
    result = run("ci", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_broken_environment_is_told_and_nothing_written(repository: Path, run: Run) -> None:
    (repository / "environments" / "prod.yaml").write_text("target: local\n")
    result = run("ci", "github", "--write")
    assert result.exit_code == 2
    assert "environments/prod.yaml:1: stacks: is missing" in result.stderr
    assert not (repository / PATHS["github"]).exists()

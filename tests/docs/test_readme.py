"""What the README shows is executed: the stack, the environment, and the quickstart on real parts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlinfra import Stack
from mlinfra.environment import parse_environment
from mlinfra.yaml_file import read_yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, after: str) -> str:
    """Return the first code block of a language after a text."""
    found = re.search(rf"```{language}\n(.*?)```", README[README.index(after) :], re.DOTALL)
    assert found is not None
    return found[1]


def test_the_stack_of_the_readme_is_a_stack() -> None:
    names: dict[str, object] = {}
    exec(compile(block("python", "## What a stack looks like"), "README.md", "exec"), names)
    stack = names["stack"]
    assert isinstance(stack, Stack)
    assert [part.plural for part in stack.parts] == [
        "feature_stores", "training_jobs", "model_registries", "endpoints", "drift_monitors",
    ]  # fmt: skip
    assert len(block("python", "## What a stack looks like").splitlines()) <= 25


def test_the_environment_of_the_readme_is_an_environment() -> None:
    environment, problems = parse_environment(read_yaml(block("yaml", "No target is named here"), "README.md"), "dev")
    assert not problems
    assert environment is not None
    assert environment.train


def test_every_document_that_the_readme_links_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "CI": "true",
    }
    yield environment
    repository = tmp_path / "my-platform"
    if repository.exists():
        command = ["mlinfra", "down", "dev", "--destroy-data", "--yes"]
        subprocess.run(command, cwd=repository, env=environment, check=False, capture_output=True)


@pytest.mark.engine
@pytest.mark.local
def test_the_quickstart_works(tmp_path: Path, shell: dict[str, str]) -> None:
    folder = tmp_path
    for line in block("console", "executed by tests/docs").splitlines():
        command = line.removeprefix("$ ")
        if command.startswith("cd "):
            folder = folder / command.removeprefix("cd ")
            continue
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=shell, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
    assert not (folder / ".mlinfra" / "dev" / "supervisor" / "supervisord.pid").exists()

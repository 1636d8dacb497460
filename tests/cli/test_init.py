"""mlinfra init: what it makes is a sound repository; what is in the way is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML
from typer.testing import Result

from mlinfra.environment import environment_schema

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
FILES = [
    ".gitignore",
    "Pulumi.yaml",
    "README.md",
    "environments/dev.yaml",
    "environments/environment.schema.json",
    "environments/prod.yaml",
    "environments/staging.yaml",
    "policies/PulumiPolicy.yaml",
    "policies/__main__.py",
    "stacks/__main__.py",
    "stacks/diabetes/data.py",
    "stacks/diabetes/stack.py",
    "stacks/diabetes/train.py",
]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("init", "my-platform")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "made my-platform: the stack diabetes, the environments dev, staging and prod\n"
        "next:\n  cd my-platform\n  mlinfra plan dev\n  mlinfra up dev\n"
    )
    assert files(tmp_path / "my-platform") == FILES


def test_every_environment_is_sound(repository: Path, run: Run) -> None:
    for environment in ("dev", "staging", "prod"):
        result = run("plan", environment)
        assert (result.exit_code, result.stderr) == (0, "")


def test_what_is_in_the_way_is_named(tmp_path: Path, run: Run) -> None:
    for name in ("notes", "a.txt", ".hidden", "b", "c", "d", "e"):
        (tmp_path / name).touch()
    result = run("init", str(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: {tmp_path} is not empty; in the way: .hidden, a.txt, b, c, d and 2 more\n"
        "  → name a new folder: mlinfra init my-platform\n"
    )
    assert len(files(tmp_path)) == 7


def test_an_empty_clone_and_an_interrupted_init_are_not_in_the_way(tmp_path: Path, run: Run) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".mlinfra-init").mkdir()
    (tmp_path / ".mlinfra-init" / "half").touch()
    assert run("init", str(tmp_path)).exit_code == 0
    assert files(tmp_path) == FILES


def test_a_file_is_no_folder(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").touch()
    result = run("init", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "is a file" in result.stderr


def test_a_folder_that_cannot_be_written(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").touch()
    result = run("init", str(tmp_path / "file" / "below"))
    assert result.exit_code == 1
    assert result.stderr == f"error: {tmp_path}/file/below cannot be written: Not a directory\n"


def test_the_schema_takes_the_environments_and_finds_mistakes(made: Path, run: Run) -> None:
    schema = json.loads((made / "environments" / "environment.schema.json").read_text())
    assert schema == environment_schema() == json.loads(run("schema").stdout)
    for name in ("dev", "staging", "prod"):
        text = (made / "environments" / f"{name}.yaml").read_text()
        assert text.startswith("# yaml-language-server: $schema=environment.schema.json\n")
        jsonschema.validate(YAML(typ="safe").load(text), schema)
    for mistake in ({"target": "local"}, {"target": "local", "stacks": ["a"], "colour": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(mistake, schema)


def test_the_schema_in_this_repository_is_the_current_one(run: Run) -> None:
    assert (ROOT / "environments" / "environment.schema.json").read_text() == run("schema").stdout, (
        "mlinfra schema > environments/environment.schema.json"
    )

"""Each of the design's rules 3 to 7, broken by hand in a copy of the sources: a test must see it (broken.toml)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, str]] = tomllib.loads(Path(__file__).with_name("broken.toml").read_text())["rule"]
SOURCES = ("core", "providers", "policies", "cli", "serving", "engine")
NOT_COPIED = shutil.ignore_patterns("__pycache__", ".venv", ".cache", ".git", ".mlinfra", ".*_cache", ".hypothesis")
FAILED = 1
"""pytest's exit code when tests ran and some failed: no other one means that a test saw something."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["says"])
def test_what_is_broken_is_there_once_and_its_test_too(rule: Mapping[str, str]) -> None:
    assert (ROOT / rule["file"]).read_text().count(rule["code"]) == 1
    path, _, test = rule["test"].partition("::")
    assert f"def {test.rpartition('::')[2]}(" in (ROOT / path).read_text()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository that may be broken."""
    made = tmp_path_factory.mktemp("rules") / "repository"
    shutil.copytree(ROOT, made, ignore=NOT_COPIED, symlinks=True)
    return made


@pytest.mark.long
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["says"])
def test_a_broken_rule_is_seen(rule: Mapping[str, str], copy: Path) -> None:
    path = copy / rule["file"]
    whole = path.read_text()
    path.write_text(whole.replace(rule["code"], rule["broken"]))
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", rule["test"]],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(str(copy / name) for name in SOURCES)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        path.write_text(whole)
    assert ran.returncode == FAILED, ran.stdout + ran.stderr
    assert "SyntaxError" not in ran.stdout

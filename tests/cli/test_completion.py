"""What a shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def completed(folder: Path, line: str) -> list[str]:
    """Return what bash would be offered for the last word of a line."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_MLINFRA_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    code = "from mlinfra_cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mlinfra p", ["plan", "promote", "predict", "prices"]),
        ("mlinfra plan ", ["dev", "prod", "staging"]),
        ("mlinfra up s", ["staging"]),
        ("mlinfra logs dev end", ["endpoints.diabetes"]),
        ("mlinfra drift dev ", ["diabetes"]),
        ("mlinfra predict dev --endpoint ", ["diabetes"]),
        ("mlinfra logs nowhere ", []),
    ],
)
def test_names_are_completed(repository: Path, line: str, offered: list[str]) -> None:
    assert completed(repository, line) == offered


def test_outside_of_a_repository_nothing_is(tmp_path: Path) -> None:
    assert completed(tmp_path, "mlinfra plan ") == []

"""`make demo` does what it says: all of it, in a copy of this repository with a git of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.local, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[2]


def test_everything_is_as_it_must_be() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KEEP"}
    before = _git_status()
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo.demo"], cwd=ROOT, env={**environment, "CI": "true", "COLUMNS": "100"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    counted, _, summary = done.stdout[done.stdout.index("── counted") :].partition("── summary")
    assert len(re.findall(r"^  ok ", summary, re.MULTILINE)) == 12, summary
    assert "FAILED" not in summary
    assert re.search(r"[\d,]+ requests sent, 0 answered by anything but 2xx or not in time", counted), counted
    for model in ("first", "second", "wrong", "slow", "failing"):
        assert re.search(rf"^  {model} +[0-9a-f]{{12}} +[\d,]+", counted, re.MULTILINE), counted
    for gate in ("p95_ms <= 250", "error_rate <= 0.01", "accuracy >= 0.85 * serving"):
        assert counted.count(gate) == 4, counted
    assert _git_status() == before


def _git_status() -> str:
    """Return what git says of the repository itself, which the demo leaves alone."""
    words = ["git", "-C", str(ROOT), "for-each-ref"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout

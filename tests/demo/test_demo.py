"""`make demo` does what it says: all of it, in the environment demo of this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.local, pytest.mark.long]


def test_everything_is_as_it_must_be() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KEEP"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("demo.py"))],
        env={**environment, "CI": "true"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    summary = done.stdout[done.stdout.index("── summary") :]
    assert len(re.findall(r"^  ok ", summary, re.MULTILINE)) == 6, summary
    assert "FAILED" not in summary

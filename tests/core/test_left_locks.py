"""The lock that a killed run left in a shared backend: freed where its holder is known to be dead, and only there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.pulumi_stack import PulumiStack
from mlinfra.repository import Repository

ENGINE = """#!/bin/sh
case "$*" in
  cancel*) touch freed ;;
  *) [ -e freed ] && exit 0
     echo "error: the stack is currently locked by 1 lock(s)." >&2
     echo "s3://state/.pulumi/locks/1.json: created by me@$HOLDER at 2026-11-22T18:34:44Z" >&2
     exit 1 ;;
esac
"""


@pytest.fixture
def stack(tmp_path: Path) -> PulumiStack:
    engine = tmp_path / "pulumi"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    environment = Environment.model_validate(
        {"name": "prod", "target": "local", "stacks": ["crowds"], "state": "s3://state"}
    )
    return PulumiStack(Repository(tmp_path), environment, SimpleNamespace(path=engine, environment=dict))  # type: ignore[arg-type]


def dead() -> int:
    """Return the number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_of_a_dead_run_of_this_machine_it_is_freed(stack: PulumiStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDER", f"{os.uname().nodename} (pid {dead()})")
    stack.refresh(lambda *_: None)
    assert (stack.folder / "freed").exists()


def test_of_another_machine_it_stays(stack: PulumiStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDER", f"elsewhere (pid {dead()})")
    with pytest.raises(MlinfraError, match="another run holds the lock of prod: created by me@elsewhere"):
        stack.refresh(lambda *_: None)
    assert not (stack.folder / "freed").exists()

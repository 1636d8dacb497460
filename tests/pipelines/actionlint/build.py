"""actionlint, the linter of GitHub's workflows: the one on PATH, or built once per user from its Go module."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import platformdirs

VERSION = "1.7.12"
MODULES = Path(__file__).parent
PACKAGE = "github.com/rhysd/actionlint/cmd/actionlint"
SECONDS = 300


class CannotBuild(Exception):
    """There is no Go, or its modules cannot be had; says why."""


def actionlint() -> Path:
    """Return the program; build it first where it is not. Raises CannotBuild."""
    there = shutil.which("actionlint")
    if there is not None:
        return Path(there)
    folder = Path(platformdirs.user_cache_dir("mlinfra")) / "actionlint" / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "build.lock", timeout=SECONDS):
        if not (folder / "actionlint").exists():
            _build(folder)
    return folder / "actionlint"


def _build(folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise CannotBuild("there is neither `actionlint` nor `go` on PATH")
    sys.stderr.write(f"\nbuilding actionlint {VERSION}: half a minute, once\n")
    binary = folder / f".actionlint-{os.getpid()}"
    command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", str(binary), PACKAGE]
    try:
        done = subprocess.run(
            command, cwd=MODULES, env=os.environ | {"GOWORK": "off"}, capture_output=True, text=True, timeout=SECONDS,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise CannotBuild(f"`go build` failed: {done.stderr.strip()[-600:]}")
        binary.replace(folder / "actionlint")
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"`go build` did not end within {SECONDS} s") from None
    finally:
        binary.unlink(missing_ok=True)

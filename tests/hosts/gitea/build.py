"""A real git host for the tests: Gitea, built once per user from the Go modules that go.mod and go.sum pin here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import platformdirs

VERSION = "1.25.1"
MODULES = Path(__file__).parent
MODULE = "code.gitea.io/gitea"
SECONDS = 1500


class CannotBuild(Exception):
    """There is no Go, or its modules cannot be had; says why."""


def home() -> Path:
    """Return the folder that keeps the binary and `options`, beside the engine's."""
    return Path(platformdirs.user_cache_dir("mlinfra")) / "gitea" / VERSION


def built() -> Path:
    """Return `home()` with Gitea in it; build it first where it is not. Raises CannotBuild."""
    folder = home()
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "build.lock", timeout=SECONDS):
        if not (folder / "gitea").exists():
            _build(folder)
    return folder


def _build(folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise CannotBuild("there is no `go` on PATH (1.25.3 or newer is needed)")
    sys.stderr.write(f"\nbuilding Gitea {VERSION} for the tests of git hosts: about six minutes on two cores, once\n")
    binary = folder / f".gitea-{os.getpid()}"
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-tags", "sqlite sqlite_unlock_notify"]
    try:
        _go(go, "build", *flags, "-ldflags", f"-s -w -X main.Version={VERSION}", "-o", str(binary), MODULE)
        source = Path(_go(go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", MODULE).strip())
        shutil.rmtree(folder / "options", ignore_errors=True)
        # files of the module cache are read-only
        shutil.copytree(source / "options", folder / "options", copy_function=shutil.copyfile)
        subprocess.run(["chmod", "-R", "u+w", str(folder / "options")], check=True)
        binary.replace(folder / "gitea")
    finally:
        binary.unlink(missing_ok=True)


def _go(go: str, *arguments: str) -> str:
    environment = os.environ | {"GOWORK": "off", "CGO_ENABLED": "1"}
    # after the tests that run beside it
    command = ["nice", "-n", "10", go, *arguments]
    try:
        ran = subprocess.run(
            command, cwd=MODULES, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"`go {arguments[0]}` did not end within {SECONDS} s") from None
    if ran.returncode != 0:
        raise CannotBuild(f"`go {arguments[0]}` failed: {ran.stderr.strip()[-600:]}")
    return ran.stdout

"""A real git host for the tests: Gitea, built once per user from the Go modules that go.mod and go.sum pin here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import filelock

from tests.go_programs import SECONDS, build, folder_of, go

VERSION = "1.25.1"
MODULES = Path(__file__).parent
MODULE = "code.gitea.io/gitea"
FLAGS = ["-tags", "sqlite sqlite_unlock_notify", "-ldflags", f"-s -w -X main.Version={VERSION}"]


def home() -> Path:
    """Return the folder that keeps the binary and `options`, beside the engine's."""
    return folder_of("gitea", VERSION)


def built() -> Path:
    """Return `home()` with Gitea in it; build it first where it is not. Raises CannotBuild."""
    folder = home()
    build(MODULES, {"gitea": MODULE}, folder, "about six minutes", *FLAGS)
    with filelock.FileLock(folder / "options.lock", timeout=SECONDS):
        if not (folder / "options").exists():
            _bring_options(folder)
    return folder


def _bring_options(folder: Path) -> None:
    source = Path(go(MODULES, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", MODULE).strip())
    partial = folder / f".options-{os.getpid()}"
    # files of the module cache are read-only
    shutil.copytree(source / "options", partial, copy_function=shutil.copyfile)
    subprocess.run(["chmod", "-R", "u+w", str(partial)], check=True)
    partial.replace(folder / "options")

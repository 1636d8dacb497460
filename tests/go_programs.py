"""Programs of the tests that are built from pinned Go modules, once per user, into its cache.

`python -m tests.go_programs` builds what is missing, one after the other, before the tests: a build takes longer than
a test may, and two at once take each other's processors.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import filelock
import platformdirs

SECONDS = 1800


class CannotBuild(Exception):
    """There is no Go, or its modules cannot be had; says why."""


def folder_of(name: str, version: str) -> Path:
    """Return the folder that keeps the programs of one project, beside the engine's."""
    return Path(platformdirs.user_cache_dir("mlinfra")) / name / version


def build(modules: Path, packages: Mapping[str, str], folder: Path, duration: str, *flags: str) -> None:
    """Build programs (name to package) that are not in `folder` yet, with the go.mod and go.sum in `modules`.

    `duration` says for how long, in words, on two cores.

    Raises:
        CannotBuild: there is no Go, or a module cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "build.lock", timeout=SECONDS):
        missing = {name: package for name, package in packages.items() if not (folder / name).exists()}
        if missing:
            sys.stderr.write(f"building {' and '.join(missing)} for the tests: {duration} on two cores, once\n")
        for name, package in missing.items():
            binary = folder / f".{name}-{os.getpid()}"
            try:
                go(
                    modules,
                    "build",
                    "-mod=readonly",
                    "-trimpath",
                    "-buildvcs=false",
                    *flags,
                    "-o",
                    str(binary),
                    package,
                )
                binary.replace(folder / name)
            finally:
                binary.unlink(missing_ok=True)


def go(modules: Path, *arguments: str) -> str:
    """Run `go` in the folder of a go.mod, after the tests that run beside it, and return what it prints.

    Raises:
        CannotBuild: there is no Go, or it failed.
    """
    program = shutil.which("go")
    if program is None:
        raise CannotBuild("there is no `go` on PATH (1.26 or newer is needed)")
    try:
        ran = subprocess.run(
            ["nice", "-n", "10", program, *arguments],
            cwd=modules,
            env=os.environ | {"GOWORK": "off"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"`go {arguments[0]}` did not end within {SECONDS} s") from None
    if ran.returncode != 0:
        raise CannotBuild(f"`go {arguments[0]}` failed: {ran.stderr.strip()[-600:]}")
    return ran.stdout


def main() -> None:
    """Build all; what cannot be built is said, and by the tests that need it again."""
    from tests.hosts.gitea.build import built as gitea
    from tests.lab.kubernetes.apiserver.build import built as apiserver
    from tests.pipelines.actionlint.build import actionlint

    for program in (actionlint, apiserver, gitea):
        try:
            program()
        except CannotBuild as why:
            sys.stderr.write(f"{why}\n")


if __name__ == "__main__":
    main()

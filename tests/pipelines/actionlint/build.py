"""actionlint, the linter of GitHub's workflows: the one on PATH, or built once per user from its Go module."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.go_programs import build, folder_of

PACKAGE = "github.com/rhysd/actionlint/cmd/actionlint"


def actionlint() -> Path:
    """Return the program; build it first where it is not. Raises CannotBuild."""
    there = shutil.which("actionlint")
    if there is not None:
        return Path(there)
    folder = folder_of("actionlint", "1.7.12")
    build(Path(__file__).parent, {"actionlint": PACKAGE}, folder, "half a minute")
    return folder / "actionlint"

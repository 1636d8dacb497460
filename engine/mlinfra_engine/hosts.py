"""The two executables that an engine needs beside it to run Python, and how to tell them from the official ones."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
from pathlib import Path

LANGUAGE_HOST = "pulumi-language-python"
DYNAMIC_PROVIDER = "pulumi-resource-pulumi-python"

_MODULES = {LANGUAGE_HOST: "mlinfra_engine.language_host", DYNAMIC_PROVIDER: "mlinfra_engine.dynamic_provider"}


def _script(module: str) -> str:
    return "\n".join(
        [
            "#!/bin/sh",
            "# Written by mlinfra, for an engine without the official Python language host.",
            f'if [ -z "$PULUMI_PYTHON_CMD" ]; then PULUMI_PYTHON_CMD={shlex.quote(sys.executable)}; fi',
            f'exec "$PULUMI_PYTHON_CMD" -P -u -m mlinfra_engine.attached {module} "$@"',
            "",
        ]
    )


def write(folder: Path) -> None:
    """Write both executables into `folder` if they are not there as they should be. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in _MODULES.items():
        path, text = folder / name, _script(module)
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8") == text and os.access(path, os.X_OK):
                continue
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
        try:
            os.close(descriptor)
            Path(temporary).write_text(text, encoding="utf-8")
            Path(temporary).chmod(0o755)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def is_ours(path: Path) -> bool:
    """Whether the language host at `path` is the one that `write` makes (the official one is a binary)."""
    try:
        with path.open("rb") as file:
            return b"mlinfra_engine" in file.read(1000)
    except OSError:
        return False

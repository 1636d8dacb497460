"""Run the provider of dynamic resources with the interpreter of the project, as the official script does.

The engine passes the options of `runtime` in Pulumi.yaml as environment variables, PULUMI_RUNTIME_VIRTUALENV among
them, and starts this in the folder of the project.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from mlinfra_engine import attached


def main() -> None:
    """Become `python -u -m pulumi.dynamic`. Reads PULUMI_RUNTIME_VIRTUALENV and PULUMI_RUNTIME_TOOLCHAIN."""
    named = os.environ.get("PULUMI_RUNTIME_VIRTUALENV", "")
    if not named and os.environ.get("PULUMI_RUNTIME_TOOLCHAIN") == "uv":
        named = ".venv"
    python = Path.cwd() / named / "bin" / "python"
    if named and python.exists():
        os.execv(python, [str(python), "-u", attached.__file__, "pulumi.dynamic", *sys.argv[1:]])
    runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

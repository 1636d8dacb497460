"""The entry point of the command `mlinfra`."""

from __future__ import annotations

import gc
import sys

OBJECTS_TO_COLLECT = 500_000


def main() -> None:
    """Run the command line; exit with its code."""
    # imports and plans make many objects that stay: the collector would walk all of them, dozens of times by default
    gc.set_threshold(OBJECTS_TO_COLLECT)
    try:
        from mlinfra_cli.commands import app

        app(prog_name="mlinfra")
    except KeyboardInterrupt:
        # before a command began: while modules are imported
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except ImportError as error:
        sys.stderr.write(f"mlinfra is not installed completely: {error}\n")
        sys.exit(1)

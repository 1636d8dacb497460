"""The entry point of the command `mlinfra`."""

from __future__ import annotations

import gc
import sys

OBJECTS_TO_COLLECT = 500_000


def main() -> None:
    """Run the command line; exit with its code."""
    # imports and plans make many objects, and they stay: by default the collector walks all of them dozens of times
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
    finally:
        # the process ends: to look for cycles in what is left first would take a quarter of the time of a plan
        gc.freeze()

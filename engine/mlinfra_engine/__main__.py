"""`python -m mlinfra_engine`: have an engine, installing it if need be, and say where it is."""

from __future__ import annotations

import sys

from mlinfra.problems import MlinfraError
from mlinfra_engine.install import ensure


def main() -> int:
    """Return the exit code: 0, that of the error, or 130 after an interrupt."""
    try:
        engine = ensure()
    except MlinfraError as error:
        remedy = f"\n  → {error.remedy}" if error.remedy else ""
        sys.stderr.write(f"error: {error}{remedy}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. What was downloaded and compiled is kept; the next run goes on from there.\n")
        return 130
    sys.stdout.write(
        f"path: {engine.path}\nversion: {engine.version}\nway: {engine.way}\n"
        f"language host: {engine.language_host} ({engine.language_host_path})\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

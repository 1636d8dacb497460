"""The drift job where a platform tells of runs that fail: `python -m mlinfra_serving.drift.scheduled`.

Arguments are those of the job; a window without a request is no failure. With `--tell` the last line that it prints is
the result as JSON, and drift is no failure either: somebody waits for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mlinfra_serving.drift.job import EXIT_CODES, EXIT_FAILED
from mlinfra_serving.drift.job import main as run

TELL = "--tell"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; 0: no drift, or nothing to measure; 1: drift; 2: it could not be done."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    tell = TELL in given
    code = run([item for item in given if item != TELL])
    if tell and code != EXIT_FAILED:
        [output] = [item.removeprefix("--output=") for item in given if item.startswith("--output=")]
        sys.stdout.write(json.dumps(json.loads((Path(output) / "latest.json").read_text())) + "\n")
        return 0
    return 0 if code == EXIT_CODES["no data"] else code


if __name__ == "__main__":
    sys.exit(main())

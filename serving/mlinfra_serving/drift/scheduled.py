"""The drift job where a platform tells of runs that fail: `python -m mlinfra_serving.drift.scheduled`.

Arguments are those of the job; a window without a request is no failure.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mlinfra_serving.drift.job import EXIT_CODES
from mlinfra_serving.drift.job import main as run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; 0: no drift, or nothing to measure; 1: drift; 2: it could not be done."""
    code = run(arguments)
    return 0 if code == EXIT_CODES["no data"] else code


if __name__ == "__main__":
    sys.exit(main())

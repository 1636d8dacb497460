"""`python -m mlinfra_serving.drift`."""

from __future__ import annotations

import sys

from mlinfra_serving.drift.job import main

if __name__ == "__main__":
    sys.exit(main())

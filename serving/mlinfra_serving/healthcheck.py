"""`python -m mlinfra_serving.healthcheck`: for a container's health check; exit code 0 when the model is ready.

The port is the one that the server takes from the same environment, 8080 where that does not say.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

from mlinfra_serving import shims
from mlinfra_serving.settings import PREFIX

_SECONDS = 2.0


def port(environment: Mapping[str, str]) -> str:
    """Return the port of the server of this environment."""
    contract = shims.shim(environment.get(PREFIX + "MODE", "v2"), environment)
    return environment.get(PREFIX + "PORT") or contract.port or "8080"


def main() -> int:
    """Ask the server on this machine whether it is ready, and return the exit code."""
    url = f"http://127.0.0.1:{port(os.environ)}/v2/health/ready"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, OSError) as error:
        sys.stderr.write(f"error: {url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""What Vertex AI captured of an endpoint, brought from its table of BigQuery.

https://cloud.google.com/vertex-ai/docs/predictions/online-prediction-logging: rows come minutes after their requests.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.environment import Environment
from mlinfra_providers.remote.needs import CAPTURED, need
from mlinfra_providers.vertex.clients import explained
from mlinfra_providers.vertex.storage import capture_table


class RequestLogging:
    """Implements `mlinfra_providers.remote.watching.Captured`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def bring(
        self, endpoint: Endpoint, release: str, since: datetime | None, until: datetime | None, folder: Path
    ) -> None:
        """Ask BigQuery for the window, and write what the release answered as the server captures."""
        need("reading captured requests", *CAPTURED)
        from mlinfra_serving.drift.capture import Window
        from mlinfra_serving.drift.vertex import keep, rows_of

        table = capture_table(self._environment, endpoint)
        with explained(f"reading {table}"):
            keep(rows_of(f"bq://{table}", Window(since, until)), folder, release)

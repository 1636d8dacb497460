"""The process that holds Feast: `python -m mlinfra_providers.local.feast_worker` in the folder of the features."""

from __future__ import annotations

import warnings
from pathlib import Path

from mlinfra_providers.local.feast_store import Store
from mlinfra_providers.local.workers import serve

if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    store = Store(Path.cwd())
    serve(
        {
            "apply": store.apply,
            "check": store.check,
            "delete": store.delete,
            "feature_service": store.feature_service,
            "historical": store.historical,
            "known": store.state,
            "materialize": store.materialize,
            "online": store.online,
            "read": store.read,
        }
    )

"""The process that holds MLflow: `python -m mlinfra_providers.local.mlflow_worker` in the registry's folder."""

from __future__ import annotations

from mlinfra_providers.local.mlflow_store import Mlflow
from mlinfra_providers.local.workers import serve

if __name__ == "__main__":
    store = Mlflow()
    serve(
        {
            "alias": store.alias,
            "delete": store.delete,
            "delete_version": store.delete_version,
            "ensure": store.ensure,
            "read": store.read,
            "register": store.register,
            "track": store.track,
        }
    )

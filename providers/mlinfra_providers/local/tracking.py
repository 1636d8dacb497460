"""Training runs in MLflow: parameters, metrics, signature, digests, lineage, whether accepted, and the log file."""

from __future__ import annotations

from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.workers import AsksWorker, Worker
from mlinfra_providers.run_record import RunRecord

WORKER = "mlinfra_providers.local.mlflow_worker"


def mlflow_worker(layout: Layout) -> Worker:
    """Return the worker that holds MLflow, in the folder of the registry."""
    layout.registry.mkdir(parents=True, exist_ok=True)
    return Worker(WORKER, folder=layout.registry)


class Tracker(AsksWorker):
    """Writes runs to MLflow; keeps its worker until closed, so that runs after the first are written fast."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._worker = mlflow_worker(layout)

    def track(self, record: RunRecord) -> str:
        """Write a run, or update it, and return MLflow's id of it.

        Runs are found by their name, so that a run that was tracked before a kill is not tracked twice.
        """
        log = record.log(self._layout.runs)
        tracked: str = self._worker.call(
            "track",
            repository=str(self._layout.repository),
            record=record.to_json(),
            log=str(log) if log.is_file() else None,
        )
        return tracked

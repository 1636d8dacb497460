"""Drift measured on demand: the schedule's own job, once, for another window.

The schedule says all of it, so what runs now is what runs by itself. The result lies beside the models.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from mlinfra.problems import MlinfraError
from mlinfra_providers.azureml.clients import Azure, read_blob
from mlinfra_providers.azureml.places import Place

POLL_SECONDS = 10.0
LONGEST_SECONDS = 7200.0
_ENDED = ("Completed", "Failed", "Canceled")


def measure(
    azure: Azure, schedule: str, reports: Place, window: str, wait: Callable[[float], None] = time.sleep
) -> Mapping[str, Any]:
    """Return the job's result. A run that found drift is one that Azure ML calls failed.

    Raises:
        MlinfraError: nothing is deployed yet, the run could not be done, or it does not end.
    """
    found = azure.get(f"schedules/{schedule}")
    if found is None:
        raise MlinfraError(f"{schedule}: there is no release to compare with yet", remedy="mlinfra up deploys one")
    definition: dict[str, Any] = found["properties"]["action"]["jobDefinition"]
    variables = {**definition["environmentVariables"], "MLINFRA_DRIFT_WINDOW": window}
    before = read_blob(reports.below("latest.json"))
    job = f"jobs/{schedule}-{uuid.uuid4().hex[:12]}"
    azure.put(job, {"properties": {**definition, "environmentVariables": variables}})
    pause, waited = 1.0, 0.0
    while (status := _status(azure, job)) not in _ENDED:
        if waited > LONGEST_SECONDS:
            raise MlinfraError(f"{job} is {status} after {waited:.0f} seconds", remedy="see it in the workspace")
        wait(pause)
        waited, pause = waited + pause, min(pause * 2, POLL_SECONDS)
    after = read_blob(reports.below("latest.json"))
    if after is None or (before is not None and before[1] == after[1]):
        raise MlinfraError(f"{job} ended as {status} without a result", remedy="its log in the workspace says why")
    result: dict[str, Any] = json.loads(after[0])
    return result


def _status(azure: Azure, job: str) -> str:
    return str(((azure.get(job) or {}).get("properties") or {}).get("status", "unknown"))

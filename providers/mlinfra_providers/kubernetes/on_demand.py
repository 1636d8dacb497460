"""A drift job that runs now, made of the CronJob that an `up` registered, as `kubectl create job --from` makes one.

Its last line is the result (mlinfra_serving.drift.scheduled --tell): the report itself stays in the endpoint's claim.
"""

from __future__ import annotations

import copy
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from mlinfra.problems import MlinfraError
from mlinfra_providers.kubernetes.clients import CRON_JOBS, JOBS, Cluster
from mlinfra_providers.short_names import short_name

_ASKING_SECONDS = 1.0
_SECONDS = 1800.0
_LIMIT = 63
_CONTAINER = "drift"
_SHOWN = 5


def measure(cluster: Cluster, cron: str, window: str) -> Mapping[str, Any]:
    """Run the job of a CronJob with another window; return its result.

    Raises:
        MlinfraError: nothing is deployed yet, the job failed, or did not end in half an hour.
    """
    found = cluster.get(CRON_JOBS, cron)
    if found is None:
        raise MlinfraError(f"{cron}: there is no release to compare with yet", remedy="mlinfra up deploys one")
    called = short_name(cron, "now", secrets.token_hex(4), limit=_LIMIT)
    cluster.create(JOBS, _body(found, called, window))
    try:
        return _result(cluster, called)
    finally:
        cluster.delete(JOBS, called)


def _body(cron: Mapping[str, Any], called: str, window: str) -> dict[str, Any]:
    template = copy.deepcopy(cron["spec"]["jobTemplate"])
    container = template["spec"]["template"]["spec"]["containers"][0]
    kept = [item for item in container["args"] if not item.startswith("--window=")]
    container["args"] = [*kept, f"--window={window}", "--tell"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    metadata = {"name": called, "labels": labels}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}


def _result(cluster: Cluster, called: str) -> Mapping[str, Any]:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        status = (cluster.get(JOBS, called) or {}).get("status") or {}
        ended = [item for item in status.get("conditions") or () if item["status"] == "True"]
        if any(item["type"] in ("Complete", "Failed") for item in ended):
            return _told(cluster, called, ended)
        time.sleep(_ASKING_SECONDS)
    raise MlinfraError(f"{called} did not end within {_SECONDS:g} s", remedy="its lines: mlinfra logs")


def _told(cluster: Cluster, called: str, ended: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    pods = cluster.pods(f"batch.kubernetes.io/job-name={called}")
    lines = cluster.log(pods[-1]["metadata"]["name"], _CONTAINER).splitlines() if pods else []
    try:
        result: Mapping[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        said = "\n".join(lines[-_SHOWN:]) or ended[-1].get("message") or ended[-1].get("reason")
        raise MlinfraError(f"{called}: the drift job failed: {said}") from None
    return result

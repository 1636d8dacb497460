"""Backfills of feature sets in the lab: the jobs that one starts, and the intervals of time that they are of.

https://learn.microsoft.com/azure/machine-learning/feature-set-materialization-concepts: a backfill starts a job for
each interval of its window whose status is asked for, and none where one is Pending; the first one must name its
window. No Spark runs: a job has ended when the lab's time has passed. The request is a long-running one, which ends
when the jobs are there: https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from tests.lab.aws.server.faults import Faults
from tests.lab.azure.server.jobs import JOBS
from tests.lab.azure.server.online import refuse
from tests.lab.azure.server.resource_manager import Answer, ResourceManager
from tests.lab.azure.server.things import FINE, Body, Outcome, Thing, Wrong

STATUSES = {"Running": "Pending", "Completed": "Complete", "Failed": "Incomplete", "Canceled": "Incomplete"}
"""What the status of a job makes of its interval."""
_VERSION, _ACTION, _RESULTS = "/featuresets/", "/backfill", "/providers/lab/backfills/"


class Backfills:
    """All of them, behind the lock of the resource manager."""

    def __init__(self, manager: ResourceManager, faults: Faults, url: str) -> None:
        self._manager = manager
        self._faults = faults
        self._url = url
        self.asked: list[Body] = []
        """The bodies that were taken, each with the id of its `version`."""
        self._jobs: dict[str, list[tuple[str, str, str]]] = {}
        self._results: dict[str, list[str]] = {}
        self._told: set[str] = set()

    def concerns(self, method: str, path: str) -> bool:
        """Say whether a request is one of these."""
        asks = method == "POST" and _VERSION in path.lower() and path.endswith(_ACTION)
        return asks or _RESULTS in path

    def answer(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        """Answer it; refusals have the form of the API's errors."""
        with self._manager.lock:
            if method == "GET":
                return self._result(path.rpartition("/")[2])
            try:
                return self._ask(path.removesuffix(_ACTION), dict(body or {}))
            except Wrong as wrong:
                return Answer(wrong.status, {"error": {"code": wrong.code, "message": str(wrong)}})

    def clear(self) -> None:
        """Forget all of them."""
        for kept in (self.asked, self._jobs, self._results, self._told):
            kept.clear()

    def _ask(self, version: str, body: Body) -> Answer:
        if self._manager.things.find(version) is None:
            raise Wrong(404, "ResourceNotFound", f"The Resource '{version}' was not found.")
        refuse("FeaturesetVersionBackfillRequest", body)
        window = body.get("featureWindow") or {}
        start, end = window.get("featureWindowStart", ""), window.get("featureWindowEnd", "")
        if not start < end:
            raise Wrong(400, "UserError", f"The feature window from '{start}' to '{end}' is none.")
        self.asked.append({**body, "version": version})
        operation = str(uuid.uuid4())
        wanted = body.get("dataAvailabilityStatus") or []
        intervals = self._intervals(version, start, end)
        self._results[operation] = [
            self._start(version, *interval) for *interval, status in intervals if status in wanted
        ]
        headers = {"Location": f"{self._url}{version.partition('/resourceGroups/')[0]}{_RESULTS}{operation}"}
        return Answer(202, None, {**headers, "Retry-After": "0"})

    def _result(self, operation: str) -> Answer:
        """Tell once that it is under way, and then what came of it."""
        if operation not in self._results:
            return Answer(404)
        if operation not in self._told:
            self._told.add(operation)
            return Answer(202, None, {"Retry-After": "0"})
        return Answer(200, {"jobIds": self._results[operation]})

    def _intervals(self, version: str, start: str, end: str) -> list[tuple[str, str, str]]:
        """Return the intervals of a window with their statuses: neighbours of one status are one."""
        known = [(first, last, self._status(version, job)) for first, last, job in self._jobs.get(version, [])]
        edges = {edge for first, last, _ in known for edge in (first, last) if start < edge < end}
        steps = sorted({start, end, *edges})
        found: list[tuple[str, str, str]] = []
        for first, last in pairwise(steps):
            of = [status for begun, ended, status in known if begun <= first and last <= ended]
            status = of[-1] if of else "None"
            if found and found[-1][2] == status:
                first = found.pop()[0]
            found.append((first, last, status))
        return found

    def _status(self, version: str, job: str) -> str:
        there = self._manager.things.find(f"{_workspace(version)}/jobs/{job}")
        return STATUSES[there.told["status"]] if there is not None else "None"

    def _start(self, version: str, start: str, end: str) -> str:
        name = f"Featurestore-Materialization-{uuid.uuid4()}"
        about = {"featureSet": version, "featureWindowStart": start, "featureWindowEnd": end}
        job = Thing(f"{_workspace(version)}/jobs/{name}", {"properties": {"jobType": "Spark", "properties": about}})
        job.told["status"] = "Running"
        full = self._faults.take("no-capacity")

        def ended() -> Outcome:
            job.told["status"] = "Failed" if full else "Completed"
            return FINE

        assert job.kind == JOBS
        job.begin("Succeeded", self._manager.things.after(ended))
        self._manager.things.add(job)
        self._jobs.setdefault(version, []).append((start, end, name))
        return name


def _workspace(version: str) -> str:
    return version.partition("/featuresets/")[0]

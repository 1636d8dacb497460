"""Lines in Cloud Logging, a page at a time: https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.drift_monitor import DriftMonitor
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.environment import Environment
from mlinfra_providers.remote.logs import of_runs, write
from mlinfra_providers.vertex.clients import Clients, explained, google
from mlinfra_providers.vertex.naming import endpoint_id, location, name, physical_name

MOST_LINES = 10_000
"""Lines of a part that are fetched, the newest ones."""
MOST_RUNS = 5
_ADDRESS = "https://logging.googleapis.com"
_PAGE = 1000


def entries(project: str, wanted: str, *, newest_first: bool = False) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a project that a filter lets through.

    Raises:
        MlinfraError: Cloud Logging refused.
    """
    asked = {
        "resourceNames": [f"projects/{project}"],
        "filter": wanted,
        "orderBy": "timestamp desc" if newest_first else "timestamp asc",
        "pageSize": _PAGE,
    }
    while True:
        with explained("reading Cloud Logging"):
            answer = google(_ADDRESS, "POST", "/v2/entries:list", json=asked)
        yield from answer.get("entries", ())
        if not (token := answer.get("nextPageToken")):
            return
        asked["pageToken"] = token


def of_job(id_: str) -> str:
    """Return the filter of what a custom job printed."""
    return f'resource.type="ml_job" AND resource.labels.job_id="{id_}"'


def text(entry: Mapping[str, Any]) -> str:
    """Return the line of an entry."""
    said = entry.get("jsonPayload") or {}
    return str(entry.get("textPayload") or said.get("message") or "")


def logs(clients: Clients, environment: Environment, repository: Path, part: ResolvedPart) -> Sequence[Path]:
    """Bring the newest lines of a part into files; return them, oldest first.

    Of training jobs, the logs of the runs that were waited for here are there already.

    Raises:
        MlinfraError: Google refused.
    """
    called = physical_name(part.part)
    if isinstance(part.part, Endpoint):
        found = _of_endpoint(environment, called)
    elif isinstance(part.part, DriftMonitor):
        found = _of_monitor(clients, environment, part.part)
    else:
        return of_runs(repository, environment.name, called)
    return [write(repository, environment.name, f"{called}/{stream}", lines) for stream, lines in found.items()]


def _of_endpoint(environment: Environment, endpoint: str) -> dict[str, list[str]]:
    """Return what the containers printed, by the id of what is deployed.

    https://cloud.google.com/vertex-ai/docs/predictions/online-prediction-logging: container logging, which is on.
    """
    wanted = (
        'resource.type="aiplatform.googleapis.com/Endpoint" '
        f'AND resource.labels.endpoint_id="{endpoint_id(environment.name, endpoint)}" '
        f'AND logName="projects/{environment.account}/logs/aiplatform.googleapis.com%2Fprediction_container"'
    )
    newest = list(islice(entries(environment.account or "", wanted, newest_first=True), MOST_LINES))
    found: dict[str, list[str]] = {}
    for entry in reversed(newest):
        found.setdefault(entry.get("labels", {}).get("deployed_model_id", "endpoint"), []).append(text(entry))
    return found


def _of_monitor(clients: Clients, environment: Environment, monitor: DriftMonitor) -> dict[str, list[str]]:
    """Return what the newest runs printed that the schedule began, by the job's id."""
    called = name(environment.name, monitor)
    with explained(f"looking for runs of {called}"):
        listed = clients.jobs.list_custom_jobs(
            request={"parent": location(environment), "filter": f'display_name="{called}"'}
        )
        runs = sorted(listed, key=lambda item: (item.create_time, item.name))[-MOST_RUNS:]
    found = {}
    for run in runs:
        id_ = run.name.rpartition("/")[2]
        newest = list(islice(entries(environment.account or "", of_job(id_), newest_first=True), MOST_LINES))
        found[id_] = [text(entry) for entry in reversed(newest)]
    return found

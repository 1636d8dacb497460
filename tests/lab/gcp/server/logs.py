"""Cloud Logging's entries of jobs and of endpoints: https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.lab.gcp.server.answers import Answer, Asked

_PAGE = 1000


class Logs:
    """What containers of jobs wrote, a line an entry, by the job's id."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []

    def write(self, job: str, called: str, text: str) -> None:
        """Keep the lines of a job."""
        for line in text.splitlines():
            self.kept.append(
                {
                    "logName": f"projects/lab/logs/{job}",
                    "resource": {"type": "ml_job", "labels": {"job_id": job, "task_name": "workerpool0-0"}},
                    "labels": {"ml.googleapis.com/display_name": called},
                    "timestamp": datetime.now(UTC).isoformat(),
                    "insertId": str(len(self.kept)),
                    "textPayload": line,
                }
            )

    def list(self, asked: Asked, printed: Callable[[str], Sequence[tuple[str, str]]]) -> Answer:
        """Answer entries.list; of filters `resource.labels.job_id="…"` and `resource.labels.endpoint_id="…"`.

        `printed` tells the lines of an endpoint, each with the id of what is deployed. An endpoint's entries have the
        line in `jsonPayload.message`, and `deployed_model_id` in their labels.
        """
        body = asked.json()
        wanted = dict(re.findall(r'resource\.labels\.(\w+)="([^"]+)"', body.get("filter", "")))
        found = [item for item in self.kept if item["resource"]["labels"]["job_id"] == wanted.get("job_id")]
        for id_, line in printed(wanted["endpoint_id"]) if "endpoint_id" in wanted else ():
            found.append({"jsonPayload": {"message": line}, "labels": {"deployed_model_id": id_}})
        if body.get("orderBy") == "timestamp desc":
            found.reverse()
        first, size = int(body.get("pageToken") or 0), int(body.get("pageSize") or _PAGE)
        more = {"nextPageToken": str(first + size)} if len(found) > first + size else {}
        return Answer.json({"entries": found[first : first + size], **more})

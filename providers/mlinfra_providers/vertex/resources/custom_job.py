"""CustomJob: the definition of a job, as an object of the bucket. It starts nothing."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.vertex.clients import clients, explained, found

_JOB = ("displayName", "encryptionSpec", "jobSpec", "labels")
_KEPT = (*_JOB, "declared")


class CustomJob(Handler):
    """What the API would be sent, and what was declared, from which a run is judged."""

    immutable: ClassVar[frozenset[str]] = frozenset({"project", "location", "environment", "bucket", "record"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Write the definition."""
        with explained(f"writing {inputs['record']}"):
            body = json.dumps({key: inputs[key] for key in _KEPT}, sort_keys=True)
            _blob(inputs).upload_from_string(body, content_type="application/json")
        return f"gs://{inputs['bucket']}/{inputs['record']}", {}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the definition that is really there."""
        with explained(f"reading {inputs['record']}"):
            text = found(_blob(inputs).download_as_bytes)
        return None if text is None else Found({**inputs, **json.loads(text)}, {})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Write the definition anew."""
        self.create(new)
        return {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Remove the definition, or find it gone; runs and what they made stay."""
        with explained(f"removing {inputs['record']}"):
            found(_blob(inputs).delete)


def request(inputs: Properties) -> dict[str, Any]:
    """Return the `CustomJob` that the API takes, as JSON."""
    return {key: inputs[key] for key in _JOB}


def _blob(inputs: Properties) -> Any:
    return clients(inputs).bucket(inputs["bucket"]).blob(inputs["record"])

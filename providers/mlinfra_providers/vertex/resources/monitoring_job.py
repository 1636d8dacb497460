"""ModelDeploymentMonitoringJob: Vertex AI's own monitor of an endpoint, found by its name: Google chooses the id."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.vertex.clients import clients, explained, finished, gone_is_fine

_FIXED = ("endpoint", "statsAnomaliesBaseDirectory", "encryptionSpec")
_UPDATABLE = ("modelDeploymentMonitoringObjectiveConfigs", "modelDeploymentMonitoringScheduleConfig",
              "loggingSamplingStrategy", "modelMonitoringAlertConfig", "logTtl", "labels")  # fmt: skip
"""What UpdateModelDeploymentMonitoringJobRequest calls updatable."""


class MonitoringJob(Handler):
    """It changes in place, or is made anew under its name where Google changes nothing: what is fixed, and a job that
    is pending, whose update Google refuses (python-aiplatform, tests/system/aiplatform/test_model_monitoring.py:
    FailedPrecondition). A pending one has measured nothing yet.
    """

    immutable: ClassVar[frozenset[str]] = frozenset({"project", "location", "environment", "displayName"})

    def check(self, inputs: Properties) -> Iterator[tuple[str, str]]:
        """Refuse to monitor nothing: an environment can have an endpoint capture less than was declared."""
        if not inputs["loggingSamplingStrategy"]["randomSampleConfig"]["sampleRate"]:
            yield (
                "loggingSamplingStrategy",
                "the endpoint captures nothing here: override its capture, or native: false",
            )

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Make it; one that a killed run has made becomes what is declared."""
        return inputs["displayName"], self.update(inputs["displayName"], inputs, inputs)

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the monitor that is really there."""
        with explained(f"reading the monitor {id_}"):
            there = _find(inputs)
        return None if there is None else Found(_declared(there, inputs), {})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Change what differs from what is really there."""
        from google.cloud.aiplatform_v1 import JobState

        api = clients(new).jobs
        with explained(f"declaring the monitor {new['displayName']}"):
            there = _find(new)
            changed = frozenset() if there is None else self.differs(_declared(there, new), new)
            if changed and (there.state == JobState.JOB_STATE_PENDING or not changed.isdisjoint(_FIXED)):
                finished(api.delete_model_deployment_monitoring_job(name=there.name))
                there = None
            if there is None:
                wanted = {"parent": _parent(new), "model_deployment_monitoring_job": job(new)}
                api.create_model_deployment_monitoring_job(request=wanted)
            elif changed:
                finished(api.update_model_deployment_monitoring_job(request=change(there.name, new)))
        return {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Remove it, or find it gone; what it has logged stays."""
        with explained(f"removing the monitor {id_}"), gone_is_fine():
            if (there := _find(inputs)) is not None:
                finished(clients(inputs).jobs.delete_model_deployment_monitoring_job(name=there.name))


def job(inputs: Properties) -> Any:
    """Return the job as the API takes it."""
    from google.cloud.aiplatform_v1 import ModelDeploymentMonitoringJob
    from google.protobuf import json_format

    made = ModelDeploymentMonitoringJob()
    wanted = {key: inputs[key] for key in ("displayName", *_FIXED, *_UPDATABLE)}
    json_format.ParseDict(wanted, ModelDeploymentMonitoringJob.pb(made))
    return made


def change(name: str, inputs: Properties) -> Any:
    """Return the request that changes all that can be changed."""
    from google.cloud.aiplatform_v1 import UpdateModelDeploymentMonitoringJobRequest

    wanted = job(inputs)
    wanted.name = name
    return UpdateModelDeploymentMonitoringJobRequest(
        model_deployment_monitoring_job=wanted,
        update_mask={"paths": [re.sub("([A-Z])", r"_\1", key).lower() for key in _UPDATABLE]},
    )


def _declared(there: Any, inputs: Properties) -> Properties:
    """Return what is there as it would be declared: answers have the project's number in place of its id."""
    from google.protobuf import json_format

    seen = json_format.MessageToDict(type(there).pb(there))
    same = there.endpoint.rpartition("/endpoints/")[2] == inputs["endpoint"].rpartition("/endpoints/")[2]
    endpoint = inputs["endpoint"] if same else there.endpoint
    return {**inputs, **{key: seen.get(key) for key in (*_FIXED, *_UPDATABLE)}, "endpoint": endpoint}


def _find(inputs: Properties) -> Any:
    wanted = {"parent": _parent(inputs), "filter": f'display_name="{inputs["displayName"]}"'}
    return next(iter(clients(inputs).jobs.list_model_deployment_monitoring_jobs(request=wanted)), None)


def _parent(inputs: Properties) -> str:
    return f"projects/{inputs['project']}/locations/{inputs['location']}"

"""Monitoring jobs of deployed models: kept and judged; the lab measures no drift with them.

Sources, in the comments of the protobufs (google.cloud.aiplatform_v1.types) unless said otherwise:
- ModelDeploymentMonitoringJob: what is required; `state` is PENDING, and then RUNNING.
- Without a schema it stays pending "until Model Monitoring can automatically parse the schema from the first 1000
  prediction requests" (https://cloud.google.com/vertex-ai/docs/model-monitoring/using-model-monitoring). The lab learns
  none: such a job stays pending.
- UpdateModelDeploymentMonitoringJobRequest: what is updatable. A pending job is refused with FAILED_PRECONDITION
  (github.com/googleapis/python-aiplatform, tests/system/aiplatform/test_model_monitoring.py).
- Each config is for a model that is deployed to the endpoint (google.cloud.aiplatform.jobs: "Invalid model ID").
- ThresholdConfig: a threshold is not zero; SamplingStrategy: a rate in (0, 1].
- ListModelDeploymentMonitoringJobsRequest: `filter` has `display_name="…"`, and more that the lab has not.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from google.cloud import aiplatform_v1 as vertex

from tests.lab.gcp.server.answers import Failed
from tests.lab.gcp.server.api import shown
from tests.lab.gcp.server.endpoints import Endpoints
from tests.lab.gcp.server.models import canonical
from tests.lab.gcp.server.operations import TYPES, Operations

_STATE = vertex.JobState
_UPDATED = frozenset(
    {"display_name", "model_deployment_monitoring_schedule_config", "model_monitoring_alert_config",
     "logging_sampling_strategy", "labels", "log_ttl", "enable_monitoring_pipeline_logs",
     "model_deployment_monitoring_objective_configs"}
)  # fmt: skip


class Monitors:
    """Monitoring jobs by name."""

    def __init__(self, operations: Operations, endpoints: Endpoints) -> None:
        self._operations = operations
        self._endpoints = endpoints
        self.kept: dict[str, Any] = {}

    def create(self, request: Any) -> dict[str, Any]:
        """CreateModelDeploymentMonitoringJob answers at once."""
        job: Any = vertex.ModelDeploymentMonitoringJob(request.model_deployment_monitoring_job)
        self._judge(job)
        job.name = f"{canonical(request.parent)}/modelDeploymentMonitoringJobs/{next(self._operations.ids)}"
        job.endpoint = canonical(job.endpoint)
        schema = job.predict_instance_schema_uri or job.analysis_instance_schema_uri
        job.state = _STATE.JOB_STATE_RUNNING if schema else _STATE.JOB_STATE_PENDING
        job.create_time = datetime.now(UTC)
        self.kept[job.name] = job
        return shown(job)

    def get(self, request: Any) -> dict[str, Any]:
        return shown(self._find(request.name))

    def list(self, request: Any) -> dict[str, Any]:
        """ListModelDeploymentMonitoringJobs; of filters `display_name="…"`."""
        wanted = re.fullmatch(r'display_name\s*=\s*"([^"]*)"', request.filter)
        if request.filter and wanted is None:
            raise Failed("INVALID_ARGUMENT", f"the lab has no filter {request.filter!r}")
        inside = f"{canonical(request.parent)}/modelDeploymentMonitoringJobs/"
        found = [
            shown(self._find(name))
            for name, job in self.kept.items()
            if name.startswith(inside) and (wanted is None or job.display_name == wanted[1])
        ]
        return {"modelDeploymentMonitoringJobs": found}

    def update(self, request: Any) -> dict[str, Any]:
        """UpdateModelDeploymentMonitoringJob."""
        wanted = request.model_deployment_monitoring_job
        there = self._find(wanted.name)
        if there.state == _STATE.JOB_STATE_PENDING:
            raise Failed("FAILED_PRECONDITION", f"{there.name} is in state JOB_STATE_PENDING and cannot be updated")
        after: Any = vertex.ModelDeploymentMonitoringJob(there)
        for path in request.update_mask.paths:
            if path not in _UPDATED:
                raise Failed("INVALID_ARGUMENT", f"update_mask: {path} cannot be updated")
            setattr(after, path, getattr(wanted, path))
        self._judge(after)

        def finish() -> dict[str, Any]:
            after.update_time = datetime.now(UTC)
            self.kept[after.name] = after
            return {"@type": f"{TYPES}.ModelDeploymentMonitoringJob", **shown(after)}

        return self._operations.begin("UpdateModelDeploymentMonitoringJob", there.name, finish)

    def delete(self, request: Any) -> dict[str, Any]:
        name = self._find(request.name).name

        def finish() -> dict[str, Any]:
            self.kept.pop(name, None)
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}

        return self._operations.begin("Delete", name, finish)

    def _judge(self, job: Any) -> None:
        deployed = {item.id for item in self._endpoints.find(job.endpoint).deployed_models}
        for config in job.model_deployment_monitoring_objective_configs:
            if config.deployed_model_id not in deployed:
                known = ", ".join(sorted(deployed))
                raise Failed("INVALID_ARGUMENT", f"Invalid model ID. The model ID must be one of [{known}]")
            drift = config.objective_config.prediction_drift_detection_config.drift_thresholds
            if zero := sorted(column for column, threshold in drift.items() if not threshold.value):
                raise Failed("INVALID_ARGUMENT", f"Each feature must have a non-zero threshold: {', '.join(zero)}")
        if not 0 < job.logging_sampling_strategy.random_sample_config.sample_rate <= 1:
            raise Failed("INVALID_ARGUMENT", "sample_rate is in (0, 1]")

    def _find(self, name: str) -> Any:
        job = self.kept.get(canonical(name))
        if job is None:
            raise Failed("NOT_FOUND", f"The ModelDeploymentMonitoringJob does not exist: {name}")
        return job

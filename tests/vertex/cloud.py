"""A Vertex AI and a Cloud Storage for tests: real requests (protobufs), kept in memory.

What it refuses, Vertex AI refuses, too: a second deployment of an id, a split that is not 100 or names what is not
deployed, an etag that is not the newest, an undeployment of what has a share (reference of EndpointService); a change
of a monitoring job that is pending (python-aiplatform, tests/system/aiplatform/test_model_monitoring.py), or of what
UpdateModelDeploymentMonitoringJobRequest does not call updatable.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.api_core import exceptions as untyped
from google.cloud import aiplatform_v1 as vertex

exceptions: Any = untyped
NUMBERED = "projects/4711/locations/us-central1"
"""Answers have the project's number."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Done:
    """A long-running operation that has ended."""

    def result(self, timeout: float | None = None) -> None:
        return None


class Blob:
    """An object of the bucket; `generation` is that of what was read or written last."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._cloud = cloud
        self._name = name
        self.generation = 0

    def download_as_bytes(self) -> bytes:
        if self._name not in self._cloud.objects:
            raise exceptions.NotFound(self._name)
        text, self.generation = self._cloud.objects[self._name]
        return text.encode()

    def upload_from_string(self, body: str, content_type: str, if_generation_match: int | None = None) -> None:
        now = self._cloud.objects.get(self._name, ("", 0))[1]
        if if_generation_match is not None and if_generation_match != now:
            raise exceptions.PreconditionFailed("conditionNotMet")
        self._cloud.objects[self._name] = (body, now + 1)

    def delete(self) -> None:
        if self._cloud.objects.pop(self._name, None) is None:
            raise exceptions.NotFound(self._name)


class Cloud:
    """The clients, all in one, and what they keep."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[str, int]] = {}
        self.kept: dict[str, Any] = {}
        self.versions: dict[str, list[Any]] = {}
        self.monitors: dict[str, Any] = {}
        self.calls: list[str] = []
        self.lost_after: str | None = None
        """The call whose answer is lost after the work was done."""
        self.deploying: Any = None
        """A deployment that a killed run began."""

    @property
    def models(self) -> Cloud:
        return self

    @property
    def jobs(self) -> Cloud:
        return self

    @property
    def endpoints(self) -> Cloud:
        return self

    def bucket(self, name: str) -> Cloud:
        return self

    def blob(self, name: str) -> Blob:
        return Blob(self, name)

    def endpoint(self, name: str) -> Any:
        self.kept[name] = vertex.Endpoint(name=name, display_name="prod-api", etag="0")
        return self.kept[name]

    def get_endpoint(self, name: str) -> Any:
        if name not in self.kept:
            raise exceptions.NotFound(name)
        return vertex.Endpoint(self.kept[name])

    def deploy_model(self, request: Any) -> Done:
        assert isinstance(request, vertex.DeployModelRequest)
        endpoint = self.kept[request.endpoint]
        begun = self.deploying is not None and self.deploying.deployed_model.id == request.deployed_model.id
        if begun or request.deployed_model.id in [item.id for item in endpoint.deployed_models]:
            raise exceptions.AlreadyExists(request.deployed_model.id)
        model: Any = vertex.DeployedModel(request.deployed_model)
        model.model, _, model.model_version_id = model.model.partition("@")
        model.create_time = BEGAN + timedelta(minutes=len(self.calls))
        model.status.available_replica_count = model.dedicated_resources.min_replica_count
        model.private_endpoints.service_attachment = "projects/x/regions/y/serviceAttachments/z"
        endpoint.deployed_models.append(model)
        return self._done("deploy_model", endpoint)

    def time_passes(self) -> None:
        """End the deployment that was begun."""
        request, self.deploying = self.deploying, None
        self.deploy_model(request)

    def undeploy_model(self, request: Any) -> Done:
        endpoint = self.kept[request.endpoint]
        if endpoint.traffic_split.get(request.deployed_model_id):
            raise exceptions.FailedPrecondition("the deployed model has traffic")
        endpoint.deployed_models = [item for item in endpoint.deployed_models if item.id != request.deployed_model_id]
        return self._done("undeploy_model", endpoint)

    def mutate_deployed_model(self, request: Any) -> Done:
        endpoint = self.kept[request.endpoint]
        (model,) = [item for item in endpoint.deployed_models if item.id == request.deployed_model.id]
        for path in request.update_mask.paths:
            field = path.removeprefix("dedicated_resources.")
            setattr(model.dedicated_resources, field, getattr(request.deployed_model.dedicated_resources, field))
        return self._done("mutate_deployed_model", endpoint)

    def update_endpoint(self, request: Any) -> Any:
        assert list(request.update_mask.paths) == ["traffic_split"]
        endpoint = self.kept[request.endpoint.name]
        if request.endpoint.etag != endpoint.etag:
            raise exceptions.Aborted("etag")
        split: Mapping[str, int] = dict(request.endpoint.traffic_split)
        if split and sum(split.values()) != 100:
            raise exceptions.InvalidArgument("the split does not sum to 100")
        if not set(split) <= {item.id for item in endpoint.deployed_models}:
            raise exceptions.InvalidArgument("the split names what is not deployed")
        endpoint.traffic_split = split
        self._done("update_endpoint", endpoint)
        return vertex.Endpoint(endpoint)

    def get_model(self, name: str) -> Any:
        model, _, alias = name.partition("@")
        found = self.versions.get(model, [])
        wanted = [item for item in found if not alias or alias in (*item.version_aliases, item.version_id)]
        if not wanted:
            raise exceptions.NotFound(name)
        return wanted[-1]

    def upload_model(self, request: Any) -> Done:
        assert isinstance(request, vertex.UploadModelRequest)
        assert bool(request.parent_model) != bool(request.model_id)
        name = request.parent_model or f"{request.parent}/models/{request.model_id}"
        if bool(request.parent_model) != bool(self.versions.get(name)):
            raise exceptions.InvalidArgument("a model is made once, and versions are added to one that is there")
        made = vertex.Model(request.model)
        made.name, made.version_id = name, str(len(self.versions.get(name, [])) + 1)
        self.versions.setdefault(name, []).append(made)
        self.calls.append("upload_model")
        return Done()

    def update_model(self, request: Any) -> None:
        for item in self.versions[request.model.name]:
            item.description = request.model.description
            item.labels = dict(request.model.labels)

    def create_model_deployment_monitoring_job(self, request: Any) -> None:
        made: Any = vertex.CreateModelDeploymentMonitoringJobRequest(request).model_deployment_monitoring_job
        made.name = f"{NUMBERED}/modelDeploymentMonitoringJobs/{len(self.calls) + 1}"
        made.endpoint = f"{NUMBERED}/endpoints/{made.endpoint.rpartition('/')[2]}"
        made.state = vertex.JobState.JOB_STATE_PENDING
        self.monitors[made.name] = made
        self._called("create_monitor")

    def list_model_deployment_monitoring_jobs(self, request: Any) -> list[Any]:
        asked = vertex.ListModelDeploymentMonitoringJobsRequest(request)
        name = asked.filter.removeprefix('display_name="').removesuffix('"')
        return [item for item in self.monitors.values() if item.display_name == name]

    def update_model_deployment_monitoring_job(self, request: Any) -> Done:
        wanted = request.model_deployment_monitoring_job
        there = self.monitors[wanted.name]
        if there.state == vertex.JobState.JOB_STATE_PENDING:
            raise exceptions.FailedPrecondition("the job is pending")
        updatable = (vertex.UpdateModelDeploymentMonitoringJobRequest.__doc__ or "").partition("Updatable fields")[2]
        for path in request.update_mask.paths:
            if f"``{path}``" not in updatable:
                raise exceptions.InvalidArgument(f"{path} cannot be updated")
            setattr(there, path, getattr(wanted, path))
        return self._called("update_monitor")

    def delete_model_deployment_monitoring_job(self, name: str) -> Done:
        del self.monitors[name]
        return self._called("delete_monitor")

    def _done(self, call: str, endpoint: Any) -> Done:
        endpoint.etag = str(int(endpoint.etag) + 1)
        return self._called(call)

    def _called(self, call: str) -> Done:
        self.calls.append(call)
        if self.lost_after == call:
            self.lost_after = None
            raise exceptions.ServiceUnavailable("the connection was lost")
        return Done()

"""Endpoints of Vertex AI: what is deployed, the split, and what answers.

Sources, in the comments of the protobufs (google.cloud.aiplatform_v1.types) unless said otherwise:
- CreateEndpointRequest: `endpoint_id` is [a-z0-9-] up to 63 after a letter, or up to 9 digits without leading zeros.
- Endpoint: the `traffic_split` sums to 100, or is empty: no requests are taken; `etag` makes updates conditional.
- DeployModelRequest: without a `traffic_split` the endpoint's is not updated; "0" in it is what is being deployed.
- DeployedModel: an `id` of 1 to 10 digits may be chosen.
- UndeployModelRequest: taken only if it has no traffic, or if the request's own split takes it away; after the last one
  the split is empty.
- MutateDeployedModelRequest: replica counts, autoscaling, and container logging; nothing else.
- DeleteEndpoint: an endpoint with deployed models is refused (https://cloud.google.com/vertex-ai/docs/predictions/undeploy-model:
  "you must undeploy all models before you can delete an endpoint").
- A container that ends: "Model server exited unexpectedly" (github.com/googleapis/python-aiplatform/issues/4559).
- A quota: "The following quota metrics exceed quota limits: aiplatform.googleapis.com/…", 429, before anything is made.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from google.cloud import aiplatform_v1 as vertex

from tests.lab.gcp.server.answers import Answer, Asked, Failed
from tests.lab.gcp.server.api import shown
from tests.lab.gcp.server.faults import Faults
from tests.lab.gcp.server.models import Models, canonical
from tests.lab.gcp.server.operations import TYPES, Operations
from tests.lab.gcp.server.seen import Seen
from tests.lab.gcp.server.servers import Server

NO_CAPACITY = "Machine type temporarily unavailable. Please try again later, or in another region."
_ENDPOINT_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_DEPLOYED_ID = re.compile(r"[0-9]{1,10}")
_UPDATED = frozenset(
    {"display_name", "description", "labels", "traffic_split", "predict_request_response_logging_config",
     "client_connection_config"}
)  # fmt: skip
_MUTATED = frozenset({"min_replica_count", "max_replica_count", "required_replica_count", "autoscaling_metric_specs"})
_WHOLE = 100


class Endpoints:
    """Endpoints by name, and the servers of what is deployed, by endpoint and id."""

    def __init__(self, operations: Operations, models: Models, faults: Faults, seen: Seen) -> None:
        self._operations = operations
        self._models = models
        self._faults = faults
        self._seen = seen
        self.kept: dict[str, Any] = {}
        self.servers: dict[tuple[str, str], Server] = {}
        self._deploying: set[tuple[str, str]] = set()

    def create(self, request: Any) -> dict[str, Any]:
        """CreateEndpoint."""
        parent = canonical(request.parent)
        id_ = request.endpoint_id or str(next(self._operations.ids))
        if not _ENDPOINT_ID.fullmatch(id_):
            raise Failed("INVALID_ARGUMENT", f"endpoint_id {id_!r} does not match {_ENDPOINT_ID.pattern}")
        name = f"{parent}/endpoints/{id_}"
        if name in self.kept:
            raise Failed("ALREADY_EXISTS", f"Endpoint {name} already exists")
        made = _copied(request.endpoint)
        made.name, made.deployed_models, made.traffic_split = name, [], {}
        made.create_time = datetime.now(UTC)
        self.kept[name] = made
        self._changed(made)
        told = {"@type": f"{TYPES}.Endpoint", **shown(made)}
        return self._operations.begin("CreateEndpoint", name, lambda: told)

    def get(self, request: Any) -> dict[str, Any]:
        return shown(self.find(request.name))

    def list(self, request: Any) -> dict[str, Any]:
        inside = f"{canonical(request.parent)}/endpoints/"
        return {"endpoints": [shown(item) for name, item in self.kept.items() if name.startswith(inside)]}

    def find(self, name: str) -> Any:
        """Return an endpoint. Raises Failed."""
        there = self.kept.get(canonical(name))
        if there is None:
            raise Failed("NOT_FOUND", f"The Endpoint does not exist: {name}")
        return there

    def update(self, request: Any) -> dict[str, Any]:
        """UpdateEndpoint."""
        there = self.find(request.endpoint.name)
        if request.endpoint.etag and request.endpoint.etag != there.etag:
            raise Failed("ABORTED", "The provided etag does not match the current etag of the Endpoint.")
        for path in request.update_mask.paths:
            if path not in _UPDATED:
                raise Failed("INVALID_ARGUMENT", f"update_mask: {path} cannot be updated")
            if path == "traffic_split":
                self._judge(there, dict(request.endpoint.traffic_split))
            setattr(there, path, getattr(request.endpoint, path))
        self._changed(there)
        return shown(there)

    def delete(self, request: Any) -> dict[str, Any]:
        """DeleteEndpoint."""
        there = self.find(request.name)
        if there.deployed_models:
            raise Failed(
                "FAILED_PRECONDITION", f"Endpoint {there.name} has deployed or being-deployed DeployedModel(s)"
            )

        def finish() -> dict[str, Any]:
            self.kept.pop(there.name, None)
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}

        return self._operations.begin("Delete", there.name, finish)

    def deploy(self, request: Any) -> dict[str, Any]:
        """DeployModel: it is listed when its server is healthy, and not before."""
        there, made = self.find(request.endpoint), _copied(request.deployed_model)
        model = self._models.find(made.model)
        made.id = made.id or str(next(self._operations.ids))
        key = (there.name, made.id)
        if not _DEPLOYED_ID.fullmatch(made.id):
            raise Failed("INVALID_ARGUMENT", f"deployed_model.id {made.id!r} is not 1 to 10 digits")
        if made.id in [item.id for item in there.deployed_models] or key in self._deploying:
            raise Failed("ALREADY_EXISTS", f"DeployedModel {made.id} already exists in {there.name}")
        self._bounds(made.dedicated_resources)
        self._quota(made.dedicated_resources)
        split = {made.id if id_ == "0" else id_: share for id_, share in request.traffic_split.items()}
        refused = self._faults.take("no-capacity")
        if not refused:
            self._deploying.add(key)
            self.servers[key] = _server(model, made)

        def ready() -> bool:
            if refused:
                raise Failed("RESOURCE_EXHAUSTED", NO_CAPACITY)
            server = self.servers.get(key)
            if server is None:
                raise Failed("ABORTED", "The project was emptied.")
            if server.failed():
                raise Failed("FAILED_PRECONDITION", f"Model server exited unexpectedly. {server.log()[-500:]}")
            return server.healthy()

        def finish() -> dict[str, Any]:
            self._deploying.discard(key)
            made.model, made.model_version_id = model.name, model.version_id
            made.create_time = datetime.now(UTC)
            _replicas(made)
            if there.private_service_connect_config.enable_private_service_connect:
                region = there.name.split("/")[3]
                made.private_endpoints.service_attachment = (
                    f"projects/lab-producer/regions/{region}/serviceAttachments/gkedpm-{there.name.rpartition('/')[2]}"
                )
            there.deployed_models.append(made)
            if split:
                self._judge(there, split)
                there.traffic_split = split
            self._changed(there)
            return {"@type": f"{TYPES}.DeployModelResponse", "deployedModel": shown(made)}

        return self._operations.begin("DeployModel", there.name, finish, ready, lambda: self._end(key))

    def undeploy(self, request: Any) -> dict[str, Any]:
        """UndeployModel."""
        there, id_ = self.find(request.endpoint), request.deployed_model_id
        self._deployed(there, id_)
        split = dict(request.traffic_split) or dict(there.traffic_split)
        last = len(there.deployed_models) == 1
        if split.get(id_) and not last:
            raise Failed("FAILED_PRECONDITION", f"DeployedModel {id_} has traffic: {split[id_]} %")

        def finish() -> dict[str, Any]:
            there.deployed_models = [item for item in there.deployed_models if item.id != id_]
            there.traffic_split = {key: share for key, share in split.items() if key != id_} if not last else {}
            self._changed(there)
            self._end((there.name, id_))
            return {"@type": f"{TYPES}.UndeployModelResponse"}

        return self._operations.begin("UndeployModel", there.name, finish)

    def mutate(self, request: Any) -> dict[str, Any]:
        """MutateDeployedModel."""
        there, wanted = self.find(request.endpoint), request.deployed_model
        item = self._deployed(there, wanted.id)
        fields = [path.rpartition(".")[2] for path in request.update_mask.paths]
        if wrong := sorted(set(fields) - _MUTATED):
            raise Failed("INVALID_ARGUMENT", f"update_mask: {', '.join(wrong)} cannot be updated")
        after = _copied(item)
        for name in fields:
            setattr(after.dedicated_resources, name, getattr(wanted.dedicated_resources, name))
        self._bounds(after.dedicated_resources)
        if after.dedicated_resources.min_replica_count > item.dedicated_resources.min_replica_count:
            self._quota(after.dedicated_resources)
        refused = self._faults.take("no-capacity")

        def finish() -> dict[str, Any]:
            if refused:
                raise Failed("RESOURCE_EXHAUSTED", NO_CAPACITY)
            item.dedicated_resources = after.dedicated_resources
            _replicas(item)
            self._changed(there)
            return {"@type": f"{TYPES}.MutateDeployedModelResponse", "deployedModel": shown(item)}

        return self._operations.begin("MutateDeployedModel", there.name, finish)

    def predict(self, asked: Asked, name: str, raw: bool) -> Answer:
        """Predict and RawPredict: one of what is deployed answers, by the split.

        https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/rawPredict: the answer is
        the container's, with the ids of the endpoint and of what answered in headers.
        """
        there = self.find(name)
        shares = {id_: share for id_, share in there.traffic_split.items() if share}
        if not shares:
            raise Failed("FAILED_PRECONDITION", f"Endpoint {there.name} doesn't have traffic split")
        id_ = random.choices(list(shares), list(shares.values()))[0]
        item = self._deployed(there, id_)
        began = time.monotonic()
        try:
            answer = self.servers[(there.name, id_)].answer(
                asked.body, asked.headers.get("content-type", "application/json"), _passed(asked)
            )
            status, body = answer.status_code, answer.content
            kind = answer.headers.get("content-type", "application/json")
        except (httpx.TransportError, KeyError):
            status, body, kind = 503, b'{"error": {"code": 503, "status": "UNAVAILABLE"}}', "application/json"
        self._seen.take(there, item, status, time.monotonic() - began, asked.body, body)
        if not raw and status == httpx.codes.OK:
            answered = Answer(body).body.decode()
            told = {"deployedModelId": id_, "model": item.model, "modelVersionId": item.model_version_id}
            return Answer.json(Asked("", "", {}, {}, answered.encode()).json() | told)
        headers = {"X-Vertex-AI-Endpoint-Id": there.name.rpartition("/")[2], "X-Vertex-AI-Deployed-Model-Id": id_}
        return Answer(body, status, kind, headers)

    def printed(self, endpoint: str) -> Sequence[tuple[str, str]]:
        """Return what the containers of an endpoint wrote that run now: the id of what is deployed, and a line."""
        return [
            (id_, line)
            for (name, id_), server in self.servers.items()
            if name.rpartition("/")[2] == endpoint
            for line in server.log().splitlines()
        ]

    def swap(self, name: str, id_: str, other: str) -> None:
        """Let one deployed model serve what another one serves: a person who deployed something else by its id."""
        there = self.find(name)
        item, source = self._deployed(there, id_), self._deployed(there, other)
        item.model, item.model_version_id = source.model, source.model_version_id
        old = self.servers[(there.name, id_)]
        made = _server(self._models.find(f"{source.model}@{source.model_version_id}"), item)
        while not made.healthy():
            time.sleep(0.1)
        self.servers[(there.name, id_)] = made
        self._changed(there)
        old.stop()

    def close(self) -> None:
        for key in list(self.servers):
            self._end(key)

    def _end(self, key: tuple[str, str]) -> None:
        self._deploying.discard(key)
        if (server := self.servers.pop(key, None)) is not None:
            server.stop()

    def _deployed(self, there: Any, id_: str) -> Any:
        for item in there.deployed_models:
            if item.id == id_:
                return item
        raise Failed("NOT_FOUND", f"DeployedModel {id_} is not found in {there.name}")

    def _judge(self, there: Any, split: dict[str, int]) -> None:
        known = {item.id for item in there.deployed_models}
        if split and sum(split.values()) != _WHOLE:
            raise Failed("INVALID_ARGUMENT", f"The traffic split must sum to 100, not {sum(split.values())}")
        if unknown := sorted(set(split) - known):
            raise Failed("INVALID_ARGUMENT", f"The traffic split names what is not deployed: {', '.join(unknown)}")

    def _bounds(self, resources: Any) -> None:
        least, most = resources.min_replica_count, resources.max_replica_count
        if least < 1 or (most and most < least):
            raise Failed("INVALID_ARGUMENT", f"replica counts must be 1 at least and in order: {least} to {most}")

    def _quota(self, resources: Any) -> None:
        if self._faults.take("quota"):
            family = resources.machine_spec.machine_type.partition("-")[0]
            metric = f"aiplatform.googleapis.com/custom_model_serving_{family}_cpus"
            raise Failed("RESOURCE_EXHAUSTED", f"The following quota metrics exceed quota limits: {metric}")

    def _changed(self, there: Any) -> None:
        there.etag = f"AMEw9y{next(self._operations.ids)}"
        there.update_time = datetime.now(UTC)


def _copied(message: Any) -> Any:
    made = type(message)()
    type(made).pb(made).CopyFrom(type(message).pb(message))
    return made


def _replicas(item: Any) -> None:
    """As many replicas as the lower bound run."""
    item.status = vertex.DeployedModel.Status(available_replica_count=item.dedicated_resources.min_replica_count)


def _server(model: Any, deployed: Any) -> Server:
    """Start the container of a version."""
    container = model.container_spec
    variables = {entry.name: entry.value for entry in container.env}
    variables |= {"AIP_STORAGE_URI": model.artifact_uri, "AIP_DEPLOYED_MODEL_ID": deployed.id, "AIP_MODE": "PREDICTION"}
    return Server(variables, health=container.health_route or "/health", predict=container.predict_route or "/predict")


def _passed(asked: Asked) -> dict[str, str]:
    return {name: value for name, value in asked.headers.items() if name.startswith("x-")}

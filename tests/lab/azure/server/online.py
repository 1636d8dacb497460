"""Online endpoints and their deployments in the lab.

Sources, below https://learn.microsoft.com/azure/machine-learning/: how-to-safely-rollout-online-endpoints (traffic is
whole percent, of 0 or 100 in sum; a mirror gets at most 50 and no live traffic; header azureml-model-deployment),
how-to-troubleshoot-online-endpoints (codes of failed deployments, statuses of answers), and
how-to-autoscale-endpoints. A PUT replaces the whole endpoint, its traffic too
(https://learn.microsoft.com/rest/api/azureml/online-endpoints/create-or-update).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.azureml.models import problems
from tests.lab.aws.server.faults import Faults
from tests.lab.azure.server.fleet import Server
from tests.lab.azure.server.resource_manager import ResourceManager, Rules
from tests.lab.azure.server.things import FINE, GONE, Body, Outcome, Thing, Wrong

ENDPOINTS = "microsoft.machinelearningservices/workspaces/onlineendpoints"
DEPLOYMENTS = f"{ENDPOINTS}/deployments"
MOST_MIRRORED = 50
WHOLE = 100
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]")
NO_CAPACITY = (
    "OutOfCapacity",
    "The specified VM size {0} failed to provision due to a lack of Azure Machine Learning capacity. Retry later or "
    "try deploying to a different region.",
)
QUOTA = (
    "OutOfQuota",
    "Not enough quota available for {0} in subscription. Current usage/limit: 0/0. Additional needed: 1. "
    "Please see troubleshooting guide, available here: https://aka.ms/oe-tsg#error-outofquota",
)
NOT_READY = "ResourceNotReady"


class Endpoints(Rules):
    """Rules of endpoints. Their split is in force when the operation has ended."""

    def put(self, manager: ResourceManager, id_: str, body: Body, there: Thing | None) -> Thing:
        refuse("OnlineEndpoint", body)
        properties = dict(body.get("properties") or {})
        self._refuse_split(manager, id_, properties)
        name = id_.rpartition("/")[2]
        if there is None:
            if not _NAME.fullmatch(name):
                raise Wrong(400, "UserError", f"The endpoint name {name} is no name of 3 to 32 letters and digits.")
            told = {"scoringUri": manager.scoring(name), "swaggerUri": f"{manager.scoring(name)}/swagger.json"}
            thing = manager.things.add(Thing(id_, body, told=told))
            thing.begin("Creating", manager.things.after())
            return thing

        def take() -> None:
            there.body = body

        there.begin("Updating", manager.things.after(then=take))
        return there

    def delete(self, manager: ResourceManager, thing: Thing) -> None:
        """Remove it and its deployments."""
        inner = list(manager.things.below(f"{thing.id}/deployments"))
        thing.begin("Deleting", manager.things.after(state=GONE))
        for deployment in inner:
            manager.fleet.drop(deployment.id)

    def _refuse_split(self, manager: ResourceManager, id_: str, properties: Mapping[str, Any]) -> None:
        traffic = {key: int(value) for key, value in (properties.get("traffic") or {}).items()}
        mirror = {key: int(value) for key, value in (properties.get("mirrorTraffic") or {}).items() if value}
        deployed = {thing.name for thing in manager.things.below(f"{id_}/deployments") if thing.state != "Deleting"}
        if missing := sorted({*traffic, *mirror} - deployed):
            message = f"Traffic names deployments that do not exist in the endpoint: {', '.join(missing)}"
            raise Wrong(400, "UserError", message)
        if sum(traffic.values()) not in (0, WHOLE):
            raise Wrong(400, "UserError", f"The sum of traffic must be 0 or 100, not {sum(traffic.values())}.")
        if len(mirror) > 1 or any(share > MOST_MIRRORED or traffic.get(name) for name, share in mirror.items()):
            message = "Mirror traffic goes to one deployment without live traffic, and is at most 50 percent."
            raise Wrong(400, "UserError", message)


class Deployments(Rules):
    """Rules of deployments. One is there when its server is ready; while it is changed, the old server serves."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def put(self, manager: ResourceManager, id_: str, body: Body, there: Thing | None) -> Thing:
        refuse("OnlineDeployment", body)
        name = id_.rpartition("/")[2]
        if there is None and not _NAME.fullmatch(name):
            raise Wrong(400, "UserError", f"The deployment name {name} is no name of 3 to 32 letters and digits.")
        self._refuse_properties(manager, body, there)
        size = body["properties"].get("instanceType", "")
        if self._faults.take("quota"):
            raise Wrong(400, QUOTA[0], QUOTA[1].format(size))
        if there is None:
            thing = manager.things.add(Thing(id_, body))
            server = self._started(manager, body)
            manager.fleet.put(id_, server)
            thing.begin("Creating", manager.things.after(self._ready(server, size)))
            return thing
        if there.state != "Failed" and _served(there.body) == _served(body):

            def keep() -> None:
                there.body = body

            grows = _count(body) > _count(there.body)
            ended = self._ready(None, size) if grows else lambda: FINE
            there.begin("Updating", manager.things.after(ended, then=keep))
            return there
        server = self._started(manager, body)

        def take() -> None:
            there.body = body
            manager.fleet.put(id_, server)

        there.begin("Updating", manager.things.after(self._ready(server, size), then=take))
        return there

    def delete(self, manager: ResourceManager, thing: Thing) -> None:
        """Remove it, unless it has a share of the requests."""
        endpoint = manager.things.find(thing.id.rpartition("/deployments/")[0])
        assert endpoint is not None
        if endpoint.work is not None:
            raise Wrong(409, "AnotherOperationInProgress", f"The endpoint {endpoint.name} is {endpoint.state}.")
        for key in ("traffic", "mirrorTraffic"):
            if (share := (endpoint.properties.get(key) or {}).get(thing.name)) and int(share):
                message = f"The deployment {thing.name} cannot be deleted: it has {share} percent of {key}."
                raise Wrong(400, "UserError", message)
        manager.fleet.drop(thing.id)
        thing.begin("Deleting", manager.things.after(state=GONE))

    def _started(self, manager: ResourceManager, body: Body) -> Server:
        return manager.fleet.made(body["properties"].get("environmentVariables") or {})

    def _ready(self, server: Server | None, size: str) -> Any:
        full = self._faults.take("no-capacity")

        def ended() -> Outcome | None:
            if full:
                return NO_CAPACITY[0], NO_CAPACITY[1].format(size)
            state = server.state() if server is not None else "healthy"
            if state == "failed":
                assert server is not None
                message = f"User container has crashed or terminated. Its last lines: {server.said()}"
                return NOT_READY, message
            return FINE if state == "healthy" else None

        return ended

    def _refuse_properties(self, manager: ResourceManager, body: Body, there: Thing | None) -> None:
        properties = body["properties"]
        if there is not None and there.properties.get("instanceType") != properties.get("instanceType"):
            raise Wrong(400, "UserError", "instanceType cannot be changed: make another deployment.")
        environment = properties.get("environmentId")
        if environment and manager.things.find(environment) is None:
            raise Wrong(404, "ResourceNotFound", f"The environment {environment} was not found.")
        model = properties.get("model")
        if model and manager.things.find(model) is None:
            raise Wrong(404, "ResourceNotFound", f"The model {model} was not found.")


def refuse(model: str, body: Mapping[str, Any]) -> None:
    """Refuse a body that its REST model does not allow. Raises Wrong."""
    found = list(problems(model, body))
    if found:
        raise Wrong(400, "ValidationError", "; ".join(found))


def _served(body: Body) -> Any:
    properties = body["properties"]
    return [properties.get(key) for key in ("environmentId", "environmentVariables", "model", "codeConfiguration")]


def _count(body: Body) -> int:
    return int((body.get("sku") or {}).get("capacity") or 1)

"""Azure Resource Manager in the lab: PUT, PATCH, GET, DELETE and lists of any thing, by the rules of its kind.

PUT of a whole body replaces it, and what is left out is lost; PATCH merges it (RFC 7396):
https://learn.microsoft.com/rest/api/azure/#create-the-request. A thing needs what it is in; while something is under
way at it, it takes no other change (409): https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.azure.server.fleet import Fleet
from tests.lab.azure.server.things import GONE, Body, Thing, Things, Wrong, split

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TENANT = "99999999-8888-7777-6666-555555555555"
SLOW = frozenset(
    {
        "microsoft.cache/redis", "microsoft.network/privateendpoints", "microsoft.network/virtualnetworks",
        "microsoft.storage/storageaccounts", "microsoft.machinelearningservices/workspaces",
        "microsoft.machinelearningservices/workspaces/computes",
    }
)  # fmt: skip
"""Kinds that are not there when the answer to PUT is."""
MADE_ALONG = frozenset({"environments", "models"})
"""Assets whose container comes with the first version."""


@dataclass(frozen=True)
class Answer:
    """Status, body and headers of an answer."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Rules:
    """What a kind demands beside what all have; this is the kind without any."""

    def put(self, manager: ResourceManager, id_: str, body: Body, there: Thing | None) -> Thing:
        """Take a whole body. Raises Wrong."""
        if there is not None:
            there.body = body
            if there.kind in SLOW:
                there.begin("Updating", manager.things.after())
            return there
        thing = Thing(id_, body, told=outputs_of(id_))
        if thing.kind in SLOW:
            thing.begin("Creating", manager.things.after())
        return manager.things.add(thing)

    def delete(self, manager: ResourceManager, thing: Thing) -> None:
        """Remove a thing. Raises Wrong."""
        if thing.kind in SLOW:
            thing.begin("Deleting", manager.things.after(state=GONE))
        else:
            manager.things.drop(thing)

    def tell(self, manager: ResourceManager, thing: Thing) -> None:
        """Bring up to date what is told of a thing."""


class ResourceManager:
    """All of it, behind one lock."""

    def __init__(self, things: Things, fleet: Fleet, rules: Mapping[str, Rules], url: str) -> None:
        self.things = things
        self.fleet = fleet
        self.lock = threading.RLock()
        self._rules = rules
        self._url = url

    def scoring(self, endpoint: str) -> str:
        """Return where an endpoint is asked; in the cloud it is `https://<endpoint>.<region>.inference.ml.azure.com`."""
        return f"{self._url}/inference/{endpoint}/score"

    def answer(self, method: str, path: str, body: Body | None) -> Answer:
        """Answer a request; refusals have the form of the API's errors."""
        with self.lock:
            try:
                return self._answer(method, path.rstrip("/"), body)
            except Wrong as wrong:
                return Answer(wrong.status, {"error": {"code": wrong.code, "message": str(wrong)}})

    def _answer(self, method: str, path: str, body: Body | None) -> Answer:
        if "/providers/lab/operations/" in path.lower():
            told = self.things.operation(path.rpartition("/")[2])
            return Answer(200, told, {"Retry-After": "0"}) if told else Answer(404)
        kind, parent, _ = split(path)
        if method == "GET" and _is_collection(path):
            return Answer(200, {"value": [thing.shown() for thing in self.things.below(path)]})
        there = self.things.find(path)
        rules = self._rules.get(kind) or _NONE
        if there is not None:
            rules.tell(self, there)
        if method == "GET":
            if there is None:
                raise Wrong(404, "ResourceNotFound", f"The Resource '{path}' was not found.")
            return Answer(200, there.shown(), {"Retry-After": "0"} if there.work else {})
        if there is not None and there.work is not None:
            message = f"The resource '{path}' is in the state {there.state}: another operation is in progress."
            raise Wrong(409, "AnotherOperationInProgress", message)
        if method == "DELETE":
            if there is None:
                return Answer(204)
            rules.delete(self, there)
            return self._accepted(there, 202 if there.work else 200)
        if method == "PATCH":
            if there is None:
                raise Wrong(404, "ResourceNotFound", f"The Resource '{path}' was not found.")
            body = merged(there.body, body or {})
        self._demand_parent(path, kind, parent)
        made = there is None
        thing = rules.put(self, path if there is None else there.id, body or {}, there)
        return self._accepted(thing, 201 if made or thing.work else 200)

    def _demand_parent(self, path: str, kind: str, parent: str) -> None:
        container, _, last = kind.rpartition("/")
        if last == "versions" and container.rpartition("/")[2] in MADE_ALONG and self.things.find(parent) is None:
            self.things.add(Thing(parent, {"properties": {}}, came=True))
        if self.things.find(parent) is None:
            message = f"Failed to perform the request: the parent resource '{parent}' of '{path}' was not found."
            raise Wrong(404, "ParentResourceNotFound", message)

    def _accepted(self, thing: Thing, status: int) -> Answer:
        if thing.work is None:
            return Answer(status, thing.shown() if thing.state != GONE else None)
        operation = f"{self._url}/subscriptions/{SUBSCRIPTION}/providers/lab/operations/{thing.operation}"
        headers = {"Azure-AsyncOperation": operation, "Location": f"{self._url}{thing.id}", "Retry-After": "0"}
        return Answer(status, thing.shown(), headers)


_NONE = Rules()


def _is_collection(path: str) -> bool:
    _, found, last = path.rpartition("/providers/")
    return bool(found) and len(last.strip("/").split("/")) % 2 == 0


def merged(there: Any, change: Any) -> Any:
    """Return a body with a change merged in: None removes."""
    if not isinstance(change, Mapping) or not isinstance(there, Mapping):
        return change
    made = dict(there)
    for key, value in change.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key), value)
    return made


def outputs_of(id_: str) -> Body:
    """Return what a kind tells beside what was put: the numbers that Azure gives."""
    name = id_.rpartition("/")[2]
    number = str(uuid.uuid5(uuid.NAMESPACE_URL, id_.lower()))
    match split(id_)[0]:
        case "microsoft.managedidentity/userassignedidentities":
            return {"principalId": number, "clientId": str(uuid.uuid5(uuid.NAMESPACE_URL, number)), "tenantId": TENANT}
        case "microsoft.keyvault/vaults":
            return {"vaultUri": f"https://{name}.vault.azure.net/"}
        case "microsoft.keyvault/vaults/keys":
            vault = id_.split("/")[-3]
            uri = f"https://{vault}.vault.azure.net/keys/{name}"
            return {"keyUri": uri, "keyUriWithVersion": f"{uri}/{number.replace('-', '')}"}
        case "microsoft.machinelearningservices/workspaces":
            return {"workspaceId": number}
        case "microsoft.operationalinsights/workspaces":
            return {"customerId": number}
    return {}

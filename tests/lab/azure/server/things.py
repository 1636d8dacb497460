"""What Azure Resource Manager has in the lab: things by id, in a state that changes when the time has come.

Ids are told apart without their case: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules.
States: https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Body = dict[str, Any]
Outcome = tuple[str, str]
"""Code and message of an error; both empty where there is none."""
FINE: Outcome = ("", "")
GONE = "Gone"
SETTLED = ("Succeeded", "Failed", "Canceled")


class Wrong(Exception):
    """A request that is refused, in the API's words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass
class Clock:
    """How long what takes minutes in the cloud takes here."""

    seconds: float = 0.3


@dataclass
class Work:
    """What is under way: its end is asked for when it is due, and is None until it has come."""

    due: float
    ended: Callable[[], Outcome | None]
    state: str = "Succeeded"
    then: Callable[[], None] = lambda: None


@dataclass
class Thing:
    """One thing: `body` as it was put and taken, `told` what the API adds to its properties."""

    id: str
    body: Body
    state: str = "Succeeded"
    told: Body = field(default_factory=dict)
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    came: bool = False
    """Whether it came with the account."""
    work: Work | None = None
    operation: str = ""
    error: Outcome = FINE

    @property
    def kind(self) -> str:
        """The type, in lower case: `microsoft.storage/storageaccounts/blobservices`."""
        return split(self.id)[0]

    @property
    def name(self) -> str:
        return self.id.rstrip("/").rpartition("/")[2]

    @property
    def properties(self) -> Body:
        found: Body = self.body.get("properties") or {}
        return found

    def begin(self, state: str, work: Work) -> None:
        """Let something be under way."""
        self.state, self.work, self.error = state, work, FINE
        self.operation = str(uuid.uuid4())

    def settle(self) -> None:
        """Let the time pass that has passed."""
        if self.work is None or time.monotonic() < self.work.due:
            return
        outcome = self.work.ended()
        if outcome is None:
            return
        work, self.work = self.work, None
        if outcome == FINE:
            self.state = work.state
            work.then()
        else:
            self.state, self.error = "Failed", outcome

    def shown(self) -> Body:
        """Return it as GET tells it."""
        stamp = self.made.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            **self.body,
            "id": self.id,
            "name": self.name,
            "type": split(self.id)[2],
            "systemData": {"createdAt": stamp, "lastModifiedAt": stamp},
            "properties": {**self.properties, **self.told, "provisioningState": self.state},
        }


def split(id_: str) -> tuple[str, str, str]:
    """Return the type of an id in lower case, the id of its parent, and the type as it is written.

    The parent of an extension is what it extends; that of a thing of a resource group is the group.
    """
    before, found, last = id_.rpartition("/providers/")
    if not found:
        parts = id_.strip("/").split("/")
        kind = "Microsoft.Resources/" + ("resourceGroups" if len(parts) > 2 else "subscriptions")
        return kind.lower(), "/" + "/".join(parts[:-2]), kind
    namespace, *rest = last.strip("/").split("/")
    kind = "/".join([namespace, *rest[::2]])
    inner = "/".join([namespace, *rest[:-2]])
    return kind.lower(), before if len(rest) <= 2 else f"{before}/providers/{inner}", kind


class Things:
    """All of them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._things: dict[str, Thing] = {}
        self._ended: dict[str, Thing] = {}

    def find(self, id_: str) -> Thing | None:
        """Return what is there now."""
        thing = self._things.get(id_.lower().rstrip("/"))
        if thing is None:
            return None
        thing.settle()
        if thing.state == GONE:
            self.drop(thing)
            return None
        return thing

    def add(self, thing: Thing) -> Thing:
        self._things[thing.id.lower().rstrip("/")] = thing
        return thing

    def drop(self, thing: Thing) -> None:
        """Forget a thing, and what is in it."""
        key = thing.id.lower().rstrip("/")
        self._things.pop(key, None)
        if thing.operation:
            self._ended[thing.operation] = thing
        for inner in [found for found in self._things if found.startswith(f"{key}/")]:
            self._things.pop(inner, None)

    def below(self, collection: str) -> Iterator[Thing]:
        """Yield what a collection has: `…/onlineEndpoints/flights/deployments`."""
        prefix = collection.lower().rstrip("/") + "/"
        for key in list(self._things):
            if key.startswith(prefix) and "/" not in key[len(prefix) :]:
                thing = self.find(key)
                if thing is not None:
                    yield thing

    def all(self) -> Iterator[Thing]:
        for key in list(self._things):
            thing = self.find(key)
            if thing is not None:
                yield thing

    def operation(self, id_: str) -> Body | None:
        """Return what became of an operation, as the status of an asynchronous operation is told."""
        for thing in (*self.all(), *self._ended.values()):
            if thing.operation == id_:
                if thing.work is not None:
                    return {"id": id_, "status": "InProgress"}
                if thing.error != FINE:
                    code, message = thing.error
                    return {"id": id_, "status": "Failed", "error": {"code": code, "message": message}}
                return {"id": id_, "status": "Succeeded"}
        return None

    def after(self, ended: Callable[[], Outcome | None] = lambda: FINE, **more: Any) -> Work:
        """Return work that takes its time."""
        return Work(time.monotonic() + self.clock.seconds, ended, **more)


def plain(mapping: Mapping[str, Any] | None) -> Body:
    """Return a copy without what is None."""
    return {key: value for key, value in (mapping or {}).items() if value is not None}

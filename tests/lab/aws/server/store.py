"""SageMaker's things in the lab: whole requests are kept, and described as botocore's model says.

moto stores a part of each request (a feature group without its online store, an endpoint configuration without its
shadows), which would make every difference invisible that is in the rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.model import OperationModel, StructureShape
from moto.core.exceptions import ServiceException

from tests.lab.aws.shapes import Translation, operation
from tests.lab.wire import shown

ACCOUNT = "123456789012"
"""moto's account."""

Parameters = dict[str, Any]


class Invalid(ServiceException):
    """`ValidationException`: what SageMaker says of most mistakes."""

    code = "ValidationException"


class NotFound(ServiceException):
    """`ResourceNotFound`: what it says of missing things of newer kinds."""

    code = "ResourceNotFound"


class InUse(ServiceException):
    """`ResourceInUse`: the name is taken, or something is under way."""

    code = "ResourceInUse"


class LimitExceeded(ServiceException):
    """`ResourceLimitExceeded`: a quota of the account."""

    code = "ResourceLimitExceeded"


@dataclass
class Clock:
    """How long what takes minutes in the cloud takes here."""

    seconds: float = 0.5

    def due(self) -> float:
        return time.monotonic() + self.seconds


@dataclass
class Thing:
    """One stored thing. Its status becomes `then` when its time has come."""

    parameters: Parameters
    arn: str
    made: float = field(default_factory=time.time)
    modified: float = field(default_factory=time.time)
    status: str = ""
    then: str = ""
    due: float = 0.0
    more: Parameters = field(default_factory=dict)
    ready: Callable[[], bool] = lambda: True

    def settle(self) -> None:
        """Let the time pass that has passed, if what it waits for is there."""
        if self.then and time.monotonic() >= self.due and self.ready():
            self.status, self.then = self.then, ""
            self.modified = time.time()


@dataclass(frozen=True)
class Entity:
    """A kind of thing with Create, Describe, Delete and List; `status` are the first status and the one after it."""

    noun: str
    name: str
    path: str
    called: str = ""
    arn: str = ""
    status: tuple[str, str] | None = None
    modern: bool = False
    listed: str = ""

    @property
    def arn_member(self) -> str:
        return self.arn or f"{self.noun}Arn"

    @property
    def status_member(self) -> str:
        return f"{self.noun}Status"


class Store:
    """The things of one region."""

    def __init__(self, region: str, clock: Clock) -> None:
        self.region = region
        self.clock = clock
        self.things: dict[tuple[str, str], Thing] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.lock = threading.RLock()
        """Held while a request is worked on: two that find an update ended would both bring it to its end."""

    def arn(self, entity: Entity, name: str) -> str:
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:{entity.path}/{name.lower()}"

    def find(self, entity: Entity, name: str) -> Thing | None:
        """Return a thing by name or ARN as it is now."""
        thing = self.things.get((entity.noun, name.rsplit("/", 1)[-1].lower()))
        if thing is not None:
            thing.settle()
            if thing.status == "Gone":
                self.drop(entity, name)
                return None
        return thing

    def get(self, entity: Entity, name: str) -> Thing:
        """Return a thing. Raises Invalid or NotFound in the words of the service."""
        thing = self.find(entity, name)
        if thing is None:
            if entity.modern:
                raise NotFound(f"Resource Not Found: {entity.called or entity.noun} {name} does not exist.")
            raise Invalid(f'Could not find {entity.called or entity.path} "{self.arn(entity, name)}".')
        return thing

    def create(self, entity: Entity, parameters: Parameters) -> Thing:
        """Keep a request. Raises Invalid, InUse where the name is taken."""
        name = parameters[entity.name]
        if self.find(entity, name) is not None:
            if entity.modern:
                raise InUse(f"Resource Already Exists: {entity.noun} with name {name} already exists.")
            raise Invalid(f'Cannot create already existing {entity.called or entity.path} "{self.arn(entity, name)}".')
        thing = Thing({key: value for key, value in parameters.items() if key != "Tags"}, self.arn(entity, name))
        if entity.status:
            thing.status, thing.then = entity.status
            thing.due = self.clock.due()
        self.things[(entity.noun, name.lower())] = thing
        self.tags[thing.arn] = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", [])}
        return thing

    def drop(self, entity: Entity, name: str) -> None:
        thing = self.things.pop((entity.noun, name.rsplit("/", 1)[-1].lower()), None)
        if thing is not None:
            self.tags.pop(thing.arn, None)

    def all(self, entity: Entity) -> Iterator[Thing]:
        for (noun, name), thing in list(self.things.items()):
            if noun == entity.noun:
                thing.settle()
                if thing.status == "Gone":
                    self.drop(entity, name)
                else:
                    yield thing

    def described(self, entity: Entity, thing: Thing, name: str | None = None) -> Parameters:
        """Return what Describe says of a thing, as far as its shape has it."""
        told = {
            **thing.parameters,
            entity.arn_member: thing.arn,
            "CreationTime": thing.made,
            "LastModifiedTime": thing.modified,
            **({entity.status_member: thing.status} if thing.status else {}),
            **thing.more,
        }
        return shaped(told, operation("sagemaker", name or f"Describe{entity.noun}"))


def shaped(told: Mapping[str, Any], model: OperationModel) -> Parameters:
    """Return what an answer may hold of what is known."""
    shape = model.output_shape
    members = shape.members if isinstance(shape, StructureShape) else {}
    return {key: value for key, value in told.items() if key in members and value is not None}


def judged(name: str, parameters: Parameters, service: str = "sagemaker") -> None:
    """Check a request against botocore's model, enums, patterns and ranges too. Raises Invalid."""
    shape = operation(service, name).input_shape
    translation = Translation({})
    translation.structure(parameters, shape)
    if translation.failures:
        told = "; ".join(
            f"Value at '{shown(failure.path)}' failed to satisfy constraint: {failure.message}"
            for failure in translation.failures
        )
        raise Invalid(f"{len(translation.failures)} validation error(s) detected: {told}")

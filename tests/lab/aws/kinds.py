"""How a resource type becomes calls of the cloud's API: a table where that is enough, a class where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_origin

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.lab.arguments import Arguments, arguments, item_of, nested, plain
from tests.lab.aws.shapes import Renames, Translation, operation, to_wire
from tests.lab.cloud import Failure, Refused
from tests.lab.wire import Properties

PACKAGE = "pulumi_aws"
GONE = ("NotFound", "NoSuch", "Could not find", "does not exist", "not found")
"""How the services say that there is no such thing; each says it in its own way."""


TAGS = ("Tags", "tags", "TagSet", "TagList")
"""Where the services have the tags of a thing."""


class Account:
    """The clients of one region, and what the provider's settings say of every resource."""

    def __init__(self, region: str, default_tags: Mapping[str, str]) -> None:
        self.region = region
        self.default_tags = default_tags

    @cache  # noqa: B019  one account lives as long as the plugin
    def client(self, service: str) -> Any:
        # a global service is asked where it is
        settings = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=30)
        return boto3.client(service, region_name=self.region, config=settings)

    def call(self, service: str, operation_name: str, **parameters: Any) -> Any:
        """Call the API. Raises Refused with the cloud's words."""
        try:
            answer = getattr(self.client(service), xform_name(operation_name))(**parameters)
        except ClientError as error:
            told = error.response["Error"]
            raise Refused(f"{operation_name}: {told.get('Code')}: {told.get('Message')}") from error
        except BotoCoreError as error:
            raise Refused(f"{operation_name}: {error}") from error
        answer.pop("ResponseMetadata", None)
        return answer

    def find(self, service: str, operation_name: str, **parameters: Any) -> Any:
        """Call the API; None where it says that there is no such thing."""
        try:
            return self.call(service, operation_name, **parameters)
        except Refused as refused:
            if any(word in str(refused) for word in GONE):
                return None
            raise


@dataclass(frozen=True)
class Kind:
    """A type whose inputs are the parameters of one call, under other names.

    `key` is the API's name of what identifies it; `envelope` is where the answer of `read` holds it. A change of a
    property in `changes` is made by the call named there, with the members that this call takes; any other change
    replaces the resource, since the API cannot make it.
    """

    token: str
    service: str
    create: str
    read: str
    delete: str
    key: str
    envelope: str = ""
    named: str = "name"
    longest: int = 63
    renames: Renames = field(default_factory=dict)
    aside: frozenset[str] = frozenset({"region"})
    changes: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    keeps_tags: bool = True
    """Whether the emulator does; what it forgets is taken to be as it was declared."""

    @property
    def arguments(self) -> Arguments:
        known = arguments(PACKAGE, self.token)
        assert known, f"{PACKAGE} has no {self.token}"
        return known

    @property
    def in_place(self) -> frozenset[str]:
        """The properties that can change without a replacement."""
        return frozenset({"tags", *self.changes})

    def translated(self, inputs: Properties, name: str) -> tuple[Properties, list[Failure]]:
        """Return the parameters of a call, and what its model does not allow."""
        shape = operation(self.service, name).input_shape
        translation = Translation(self.renames, self.aside)
        return translation.structure(inputs, shape), translation.failures

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        """Yield what is wrong with the inputs."""
        yield from self.translated(inputs, self.create)[1]

    def made(self, account: Account, inputs: Properties) -> str:
        """Make it and return its id."""
        parameters, _ = self.translated(inputs, self.create)
        account.call(self.service, self.create, **parameters)
        return str(parameters[self.key])

    def settled(self, account: Account, id_: str) -> None:
        """Wait until it is ready. Raises Refused with the reason when it will never be."""

    def found(self, account: Account, id_: str) -> Properties | None:
        """Return what the API says of it, None when it is gone."""
        answer = account.find(self.service, self.read, **{self.key: id_})
        return answer.get(self.envelope, answer) if answer is not None else None

    def live(self, account: Account, id_: str) -> Properties | None:
        """Return all outputs in the names of the wire, None when it is gone."""
        answer = self.found(account, id_)
        if answer is None:
            return None
        own = {name: value for name, value in answer.items() if name not in TAGS}
        wire: Properties = to_wire(own, self.arguments, self.renames)
        for name, source in self.outputs.items():
            value: Any = answer
            for step in source.split("."):
                value = value.get(step, {}) if isinstance(value, Mapping) else value
            if value not in ({}, None):
                wire[name] = to_wire(value, str, {})
        tags = self.tags(account, id_, answer)
        return wire | ({"tags": tags} if tags else {})

    def tags(self, account: Account, id_: str, answer: Properties) -> dict[str, str]:
        """Return the tags that it has."""
        return tag_map(next((answer[name] for name in TAGS if name in answer), []))

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        """Change the tags that it has."""
        if self.keeps_tags:
            raise Refused(f"the lab cannot change the tags of a {self.token}")

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        """Change it in place, the tags aside."""
        for name in dict.fromkeys(self.changes[name] for name in self.changes if name in names):
            shape = operation(self.service, name).input_shape
            own = {key: value for key, value in new.items() if key == self.named or self.changes.get(key) == name}
            translation = Translation(self.renames, self.aside)
            parameters = translation.structure(own, shape)
            account.call(self.service, name, **{**parameters, self.key: id_})

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        """Remove it; it may be gone already."""
        account.find(self.service, self.delete, **{self.key: id_})


def tag_map(listed: Any) -> dict[str, str]:
    """Return tags as a map, whichever way a service lists them."""
    if isinstance(listed, Mapping):
        return dict(listed)
    return {
        item.get("Key", item.get("TagKey", item.get("key"))): item.get("Value", item.get("TagValue", item.get("value")))
        for item in listed or []
    }


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as most services list them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def restricted(live: Any, inputs: Any, kind: Any) -> Any:
    """Return what is live, as far as the inputs speak of it: what nobody declared is a default of the cloud.

    Maps (tags, environment variables) are whole, so that an entry made by hand is seen. Text that is the same JSON
    counts as the same.
    """
    known = kind if isinstance(kind, Arguments) else nested(kind)
    if known is not None and isinstance(live, Mapping) and isinstance(inputs, Mapping):
        return {
            name: restricted(live[name], inputs[name], known.types.get(name, Any)) for name in inputs if name in live
        }
    if isinstance(live, list) and isinstance(inputs, list):
        inner = item_of(kind)
        if nested(inner) is None and sorted(map(str, live)) == sorted(map(str, inputs)):
            return inputs
        pairs = [restricted(item, given, inner) for item, given in zip(live, inputs, strict=False)]
        return pairs + live[len(pairs) :]
    if get_origin(plain(kind)) is not None or live == inputs:
        return live
    return inputs if _same_json(live, inputs) else live


def _same_json(one: Any, other: Any) -> bool:
    try:
        return bool(_json(one) == _json(other))
    except (ValueError, TypeError):
        return False


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else json.loads(json.dumps(value))

"""`azure-native` in the lab: wire inputs of pulumi_azure_native, checked against the SDK, put to the emulated Azure.

As the provider does it: a thing that is there already is not made (`cannot create already existing resource`:
https://github.com/pulumi/pulumi-azure-native/issues/2133), every request waits for its operation, and lists of
identities are sent as mappings. Bodies of Azure ML are judged by the
emulated API against its REST models.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import httpx

from tests.lab.arguments import Arguments, arguments, problems
from tests.lab.azure.kinds import KEPT_WHEN_DELETED, OUTSIDE, Kind, kind_of
from tests.lab.azure.server.account import ADDRESS, VERSION
from tests.lab.azure.server.resource_manager import SUBSCRIPTION, TENANT
from tests.lab.cloud import Answer, Cloud, Failure, Live, Question, Refused, Unfinished
from tests.lab.wire import Properties, has_unknown

PACKAGE = "pulumi_azure_native"
SECONDS = 240.0
_TRIES = 5
_NOT_FOUND, _MANY, _WRONG = 404, 429, 400
_FAILED = ("Failed", "Canceled")
_OWN = ("id", "name", "type", "systemData")


class Azure(Cloud):
    """The provider `azure-native`."""

    def __init__(self) -> None:
        self._subscription = SUBSCRIPTION

    def configure(self, settings: Properties) -> None:
        """Take the subscription."""
        self._subscription = str(settings.get("subscriptionId", SUBSCRIPTION))

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Say who is signed in: the one function that is asked for."""
        if token != "azure-native:authorization:getClientConfig":
            return super().invoke(token, arguments)
        somebody = "00000000-1111-2222-3333-444444444444"
        return {
            "clientId": somebody,
            "objectId": somebody,
            "subscriptionId": self._subscription,
            "tenantId": TENANT,
        }

    def check(self, question: Question) -> Answer:
        """Judge the names and types of the inputs; every name is to be given."""
        kind = _kind(question.token)
        inputs = dict(question.inputs)
        failures = list(problems(_arguments(question.token), inputs))
        failures += [Failure((name,), "is not given, and the lab makes none up") for name in kind.names - inputs.keys()]
        return Answer(inputs, failures)

    def replaces(self, token: str, id_: str, old: Properties, new: Properties, changed: set[str]) -> set[str]:
        """What is the id, and what the API cannot change."""
        return changed & _kind(token).replacing

    def deletes_first(self, token: str, old: Properties, new: Properties) -> bool:
        """A thing with the same id cannot be there twice."""
        kind = _kind(token)
        return not has_unknown(new) and self._id(kind, old) == self._id(kind, new)

    def planned(self, token: str, id_: str | None, inputs: Properties) -> Properties:
        """Return the inputs as outputs have them: identities are a mapping there."""
        made: Properties = _sent(inputs)
        return made

    def create(self, token: str, inputs: Properties) -> tuple[str, Properties]:
        kind = _kind(token)
        id_ = self._id(kind, inputs)
        if kind.token not in KEPT_WHEN_DELETED and self._send("GET", id_) is not None:
            raise Refused(f"cannot create already existing resource '{id_}'")
        try:
            self._settled("PUT", id_, _body(kind, inputs))
        except Refused as refused:
            there = self._send("GET", id_)
            if there is None:
                raise
            raise Unfinished(id_, inputs, _outputs(there, inputs), str(refused)) from refused
        return id_, _outputs(self._found(id_), inputs)

    def read(self, token: str, id_: str, inputs: Properties) -> Live | None:
        there = self._send("GET", id_)
        if there is None:
            return None
        outputs = _outputs(there, inputs)
        kind = _kind(token)
        seen = {key: _seen(value) for key, value in outputs.items() if key not in kind.names}
        return Live(_restricted(inputs, {**inputs, **seen}, _arguments(token)), outputs)

    def update(self, token: str, id_: str, old: Properties, new: Properties) -> Properties:
        self._settled("PUT", id_, _body(_kind(token), new))
        return _outputs(self._found(id_), new)

    def delete(self, token: str, id_: str, inputs: Properties) -> None:
        if _kind(token).token in KEPT_WHEN_DELETED:
            return
        self._settled("DELETE", id_, None)

    def _id(self, kind: Kind, inputs: Properties) -> str:
        given = {name: str(inputs.get(name, "")).strip("/") for name in kind.names}
        path = kind.path.format(subscription=self._subscription, **given)
        return "/" + path.lstrip("/")

    def _found(self, id_: str) -> Properties:
        there = self._send("GET", id_)
        if there is None:
            raise Refused(f"{id_} was made, and is not there")
        return there

    def _settled(self, method: str, id_: str, body: Properties | None) -> None:
        """Do it, and wait until Azure says that it is done. Raises Refused."""
        answer = self._ask(method, f"{id_}?api-version={VERSION}", body)
        operation = answer.headers.get("Azure-AsyncOperation")
        until = time.monotonic() + SECONDS
        while operation and time.monotonic() < until:
            told = self._ask("GET", operation, None).json()
            if told["status"] in _FAILED:
                raise Refused(f"Code={told['error']['code']!r} Message={told['error']['message']!r}")
            if told["status"] == "Succeeded":
                return
            time.sleep(0.1)

    def _send(self, method: str, id_: str) -> Properties | None:
        answer = self._ask(method, f"{id_}?api-version={VERSION}", None, missing=True)
        if answer.status_code == _NOT_FOUND:
            return None
        there: Properties = answer.json()
        return there

    def _ask(self, method: str, address: str, body: Properties | None, *, missing: bool = False) -> httpx.Response:
        """Ask, again when Azure has too many requests or the connection is lost, as the provider's client does.

        https://learn.microsoft.com/azure/architecture/best-practices/retry-service-specific
        """
        url = address if address.startswith("http") else f"{os.environ[ADDRESS]}{address}"
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                answer = httpx.request(method, url, json=body, timeout=60, trust_env=False)
            except httpx.TransportError as error:
                if last:
                    raise Refused(f"{method} {address}: {error}") from error
            else:
                if answer.status_code != _MANY or last:
                    break
            time.sleep(0.1)
        if answer.status_code < _WRONG or (missing and answer.status_code == _NOT_FOUND):
            return answer
        told = answer.json()["error"]
        raise Refused(f"Status={answer.status_code} Code={told['code']!r} Message={told['message']!r}")


def _kind(token: str) -> Kind:
    kind = kind_of(token)
    if kind is None:
        raise Refused(f"the lab has no {token!r} yet: tests/lab/azure/kinds.py has a line for each type")
    return kind


def _arguments(token: str) -> Arguments:
    known = arguments(PACKAGE, token)
    if known is None:
        raise Refused(f"{PACKAGE} has no {token}")
    return known


def _body(kind: Kind, inputs: Properties) -> Properties:
    """Return the body of a request: what is no name of the id, in `properties` unless it is beside them."""
    given = {key: _sent(value) for key, value in inputs.items() if key not in kind.names}
    outside = {key: value for key, value in given.items() if key in OUTSIDE}
    if "properties" in given:
        return given
    return {**outside, "properties": {key: value for key, value in given.items() if key not in OUTSIDE}}


def _sent(value: Any) -> Any:
    if isinstance(value, Mapping):
        made = {key: _sent(item) for key, item in value.items()}
        users = made.get("userAssignedIdentities")
        return {**made, "userAssignedIdentities": {user: {} for user in users}} if isinstance(users, list) else made
    return [_sent(item) for item in value] if isinstance(value, list) else value


def _outputs(there: Properties, inputs: Properties) -> Properties:
    """Return the outputs: flat where the inputs are, with the names that the inputs give."""
    properties = dict(there.get("properties") or {})
    beside = {key: value for key, value in there.items() if key not in ("properties", "id", "type", "systemData")}
    if "properties" in inputs:
        # of a key the provider tells what is inside beside it, too
        told = {key: value for key, value in properties.items() if key.startswith("keyUri")}
        return {**_sent(inputs), **beside, **told, "properties": properties}
    return {**_sent(inputs), **beside, **properties}


def _seen(value: Any) -> Any:
    """Return a value as inputs have it: identities as a list."""
    if isinstance(value, Mapping):
        made = {key: _seen(item) for key, item in value.items()}
        users = made.get("userAssignedIdentities")
        return {**made, "userAssignedIdentities": list(users)} if isinstance(users, Mapping) else made
    return value


def _restricted(inputs: Properties, live: Properties, known: Arguments) -> Properties:
    """Return what is there as inputs: what was declared, as it is now; tags made by hand are seen, too."""
    found = {key: _as_declared(value, live.get(key)) for key, value in inputs.items() if key in live}
    if not inputs:
        return {key: value for key, value in live.items() if key in known.types and key not in _OWN}
    if live.get("tags"):
        found["tags"] = live["tags"]
    return found


def _as_declared(declared: Any, live: Any) -> Any:
    if isinstance(declared, Mapping) and isinstance(live, Mapping):
        return {key: _as_declared(value, live[key]) for key, value in declared.items() if key in live}
    if isinstance(declared, list) and isinstance(live, list) and len(declared) == len(live):
        return [_as_declared(*pair) for pair in zip(declared, live, strict=True)]
    return live

"""Google Cloud in the lab: wire inputs of pulumi_gcp, checked against the SDK, made in the emulated project.

An endpoint is made by the API of Vertex AI itself, so that its protobufs judge it; everything else is kept as it was
asked for (`server/things.py`).
"""

from __future__ import annotations

import json
import os
import uuid
from typing import Any

import httpx

from tests.lab.arguments import problems
from tests.lab.cloud import Answer, Cloud, Live, Question, Refused
from tests.lab.gcp.kinds import EMPTY_FIRST, ENDPOINT, KINDS, Kind
from tests.lab.gcp.names import NUMBER, PLUGIN, THINGS
from tests.lab.wire import Properties, has_unknown

ADDRESS = "MLINFRA_VERTEX_ENDPOINT"
_SAID = ("displayName", "description", "labels", "encryptionSpec", "network", "privateServiceConnectConfig",
         "predictRequestResponseLoggingConfig", "dedicatedEndpointEnabled")  # fmt: skip
"""The inputs of an endpoint that the API has by the same name."""
_SECONDS = 60.0
_GONE = 404


def kind_of(token: str) -> Kind:
    """Return a type. Raises Refused where the lab has none."""
    if token not in KINDS:
        raise Refused(f"the lab has no {token!r} yet: see tests/lab/gcp/kinds.py")
    return KINDS[token]


class Google(Cloud):
    """The provider `gcp`."""

    def __init__(self) -> None:
        address = os.environ.get(ADDRESS, "http://127.0.0.1:9")
        self._client = httpx.Client(base_url=address, timeout=_SECONDS, trust_env=False, headers={PLUGIN: "1"})
        self._settings: Properties = {}

    def configure(self, settings: Properties) -> None:
        """Take project and region."""
        self._settings = settings

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Answer `getProject`: the project and who pays for it; and who Cloud Storage is."""
        if token == "gcp:organizations/getProject:getProject":
            project = arguments.get("projectId", self._settings.get("project", ""))
            return {"id": f"projects/{project}", "projectId": project, "billingAccount": "000000-LAB000-000000"}
        if token == "gcp:storage/getProjectServiceAccount:getProjectServiceAccount":
            address = f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
            return {"id": address, "emailAddress": address, "member": f"serviceAccount:{address}"}
        return super().invoke(token, arguments)

    def check(self, question: Question) -> Answer:
        """Judge everything that is known. Nothing gets a name here: what is declared has one."""
        return Answer(dict(question.inputs), list(problems(kind_of(question.token).arguments, question.inputs)))

    def replaces(self, token: str, id_: str, old: Properties, new: Properties, changed: set[str]) -> set[str]:
        return changed & kind_of(token).fixed

    def deletes_first(self, token: str, old: Properties, new: Properties) -> bool:
        """Two things cannot have one id."""
        kind = kind_of(token)
        return "{_}" not in kind.id and kind.named(old, "") == kind.named(new, "")

    def create(self, token: str, inputs: Properties) -> tuple[str, Properties]:
        kind = kind_of(token)
        id_ = kind.named(inputs, str(uuid.uuid4().int % 10**15))
        if kind.inside is not None:
            self._inside(kind, inputs)
        if token == ENDPOINT:
            parent, _, name = id_.rpartition("/endpoints/")
            self._ask("POST", f"/v1/{parent}/endpoints", _said(inputs), endpointId=name)
            return id_, self._endpoint(id_, inputs).outputs
        self._ask("POST", THINGS + token, inputs, id=id_)
        return id_, kind.told(inputs, id_)

    def _inside(self, kind: Kind, inputs: Properties) -> None:
        """Refuse what is to be in something that is not there."""
        assert kind.inside is not None
        outer, made_of = kind.inside
        name = Kind(outer, made_of).named(inputs, "")
        if not has_unknown(name) and self._found("GET", THINGS + outer, id=name) is None:
            raise Refused(f"Error 404: {name} is not found")

    def read(self, token: str, id_: str, inputs: Properties) -> Live | None:
        if token == ENDPOINT:
            return self._endpoint(id_, inputs) if self._found("GET", f"/v1/{id_}") is not None else None
        there = self._found("GET", THINGS + token, id=id_)
        return None if there is None else Live(there, kind_of(token).told(there, id_))

    def update(self, token: str, id_: str, old: Properties, new: Properties) -> Properties:
        if token == ENDPOINT:
            changed = sorted(name for name in _SAID if old.get(name) != new.get(name))
            body = {**_said(new), "displayName": new.get("displayName", "")}
            self._ask("PATCH", f"/v1/{id_}", body, updateMask=",".join(changed))
            return self._endpoint(id_, new).outputs
        self._ask("PUT", THINGS + token, new, id=id_)
        return kind_of(token).told(new, id_)

    def delete(self, token: str, id_: str, inputs: Properties) -> None:
        if token == ENDPOINT:
            self._found("DELETE", f"/v1/{id_}")
            while self._found("GET", f"/v1/{id_}") is not None:
                pass
            return
        if inputs.get("deletionProtection") is True:
            raise Refused(f"cannot destroy {id_} without setting deletionProtection=false")
        if token in EMPTY_FIRST and not (inputs.get("deleteContentsOnDestroy") or inputs.get("forceDestroy")):
            kind, inside = EMPTY_FIRST[token]
            prefix = f"{kind.rpartition(':')[2]} {inside.replace('{id}', id_)}"
            if held := [name for name in self._ask("GET", "/lab/there") if name.startswith(prefix)]:
                raise Refused(f"Error 400: {id_} is still in use: {', '.join(held)}")
        self._found("DELETE", THINGS + token, id=id_)

    def _endpoint(self, id_: str, inputs: Properties) -> Live:
        there = self._ask("GET", f"/v1/{id_}")
        kept = {name: value for name, value in inputs.items() if name not in _SAID}
        seen = {name: there[name] for name in _SAID if there.get(name)}
        given = {name: value for name, value in inputs.items() if name in _SAID and not value and name not in seen}
        private = seen.get("privateServiceConnectConfig")
        if private is not None:
            seen["privateServiceConnectConfig"] = {
                ("projectAllowlists" if name == "projectAllowlist" else name): value for name, value in private.items()
            }
        known = {**kept, **given, **seen}
        split = there.get("trafficSplit", {})
        outputs = {"etag": there["etag"]}
        labels = {"effectiveLabels": seen.get("labels", {}), "pulumiLabels": seen.get("labels", {})}
        return Live(known, {**known, **outputs, **labels, "trafficSplit": json.dumps(split)})

    def _ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Return an answer. Raises Refused in Google's words."""
        answer = self._client.request(method, path, json=body, params=query)
        if answer.is_error:
            raise Refused(f"googleapi: {answer.json()['error']['message']}")
        return answer.json()

    def _found(self, method: str, path: str, **query: str) -> Any:
        """Return an answer, None where nothing is there."""
        answer = self._client.request(method, path, params=query)
        if answer.status_code == _GONE:
            return None
        if answer.is_error:
            raise Refused(f"googleapi: {answer.json()['error']['message']}")
        return answer.json()


def _said(inputs: Properties) -> Properties:
    """Return an endpoint as the API has it."""
    made = {name: inputs[name] for name in _SAID if name in inputs}
    private = made.get("privateServiceConnectConfig")
    if private is not None:
        renamed = {"projectAllowlists": "projectAllowlist"}
        made["privateServiceConnectConfig"] = {renamed.get(name, name): value for name, value in private.items()}
    return made

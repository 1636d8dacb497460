"""OnlineEndpoint: put whole each time, with the split that is in force. A change of a tag must move no request."""

from __future__ import annotations

from typing import Any, ClassVar

from mlinfra_providers.azureml.clients import azure
from mlinfra_providers.handler import Found, Handler, Properties

_TRAFFIC = ("traffic", "mirrorTraffic")
_NAMED = ("authMode", "publicNetworkAccess", "description")


class OnlineEndpoint(Handler):
    """Its inputs are those of `azure-native:machinelearningservices:OnlineEndpoint`, without the split, which only
    Traffic writes: azure-native would put the split of its own input, whoever has shifted since.
    """

    outputs: ClassVar[tuple[str, ...]] = ("scoringUri",)
    immutable: ClassVar[frozenset[str]] = frozenset(
        {"environment", "subscriptionId", "resourceGroupName", "workspaceName", "endpointName", "location", "kind"}
    )

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Put it, or find it there and put it with the split that it has."""
        return inputs["endpointName"], self.update(inputs["endpointName"], inputs, inputs)

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return what is really there; gone when it is not."""
        there = azure(inputs).get(_path(inputs))
        if there is None:
            return None
        seen = {key: value for key, value in there["properties"].items() if key in _NAMED}
        identity = there.get("identity") or {}
        users = sorted(identity.get("userAssignedIdentities") or (), key=str.lower)
        found = {
            **inputs,
            "tags": dict(there.get("tags") or {}),
            "identity": {"type": identity.get("type"), "userAssignedIdentities": _as_declared(users, inputs)},
            "properties": {**inputs["properties"], **seen},
        }
        return Found(found, _outputs(there))

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Put it whole."""
        api = azure(new)
        there = api.get(_path(new)) or {"properties": {}}
        return _outputs(api.put(_path(new), request(new, there["properties"])))

    def delete(self, id_: str, inputs: Properties) -> None:
        """Remove it, or find it gone; its deployments went before."""
        azure(inputs).delete(_path(inputs))


def request(inputs: Properties, now: Properties) -> dict[str, Any]:
    """Return what is put: what is declared, and the split of the properties that are there now."""
    identity = inputs["identity"]
    kept = {key: dict(now[key]) for key in _TRAFFIC if now.get(key)}
    return {
        "location": inputs["location"],
        "kind": inputs["kind"],
        "tags": dict(inputs["tags"]),
        "identity": {
            "type": identity["type"],
            "userAssignedIdentities": {user: {} for user in identity["userAssignedIdentities"]},
        },
        "properties": {**inputs["properties"], **kept},
    }


def _as_declared(users: list[str], inputs: Properties) -> list[str]:
    """Return ids as they are declared, where they are the same: Azure gives them back in another case."""
    declared = {user.lower(): user for user in inputs["identity"]["userAssignedIdentities"]}
    return [declared.get(user.lower(), user) for user in users]


def _path(inputs: Properties) -> str:
    return f"onlineEndpoints/{inputs['endpointName']}"


def _outputs(there: Properties) -> Properties:
    return {"scoringUri": there["properties"].get("scoringUri", "")}

"""FeaturesetVersion: the newest version of a feature set. Versions never change and never go: their readers name them.

azure-native makes nothing that is there already (https://github.com/pulumi/pulumi-azure-native/issues/2133), and the
columns of a set may come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlinfra_providers.azureml.clients import azure
from mlinfra_providers.handler import Found, Handler, Properties


class FeaturesetVersion(Handler):
    """Its inputs are those of `azure-native:machinelearningservices:FeaturesetVersion`."""

    immutable: ClassVar[frozenset[str]] = frozenset(
        {"environment", "subscriptionId", "resourceGroupName", "workspaceName", "name"}
    )

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Register it, or find it registered."""
        azure(inputs).put(_path(inputs), {"properties": inputs["properties"]})
        return inputs["name"], {}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return what is really there of what is declared."""
        there = azure(inputs).get(_path(inputs))
        if there is None:
            return None
        return Found({**inputs, "properties": _seen(inputs["properties"], there["properties"])}, {})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Register another version beside it, or change what can be: description, tags, when rows are brought."""
        self.create(new)
        return {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Keep it: whoever reads it goes on."""


def _path(inputs: Properties) -> str:
    return f"featuresets/{inputs['name']}/versions/{inputs['version']}"


def _seen(declared: Any, there: Any) -> Any:
    if isinstance(declared, Mapping) and isinstance(there, Mapping):
        return {key: _seen(value, there[key]) for key, value in declared.items() if key in there}
    return there

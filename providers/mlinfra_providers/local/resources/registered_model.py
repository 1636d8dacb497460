"""RegisteredModel: a registered model of MLflow."""

from __future__ import annotations

from typing import ClassVar

from mlinfra_providers.handler import Found, Properties
from mlinfra_providers.local.resources.local_handler import LocalHandler


class RegisteredModel(LocalHandler):
    """Its versions come and go with the releases; deleting it deletes them."""

    immutable: ClassVar[frozenset[str]] = frozenset({"environment", "name"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Create the model, or set its tags."""
        with self.registry(inputs) as registry:
            registry.ensure(inputs["name"], _tags(inputs))
        return f"{inputs['environment']}/{inputs['name']}", {}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return what MLflow knows."""
        with self.registry(inputs) as registry:
            model = registry.read(inputs["name"])
        if model is None:
            return None
        tags = model["tags"]
        return Found({**inputs, "trainedBy": tags.get("trained_by"), "owner": tags.get("owner")}, {})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Set the tags."""
        self.create(new)
        return {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Delete the model with its versions: the engine asks for it only after the protection was taken off."""
        with self.registry(inputs) as registry:
            registry.delete(inputs["name"])


def _tags(inputs: Properties) -> dict[str, str]:
    return {"trained_by": inputs["trainedBy"], "owner": inputs["owner"]}

"""Model: what versions are registered under. Vertex AI makes it with its first version, and here nothing is made."""

from __future__ import annotations

from typing import Any, ClassVar

from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.vertex.clients import clients, explained, found


def model_name(inputs: Properties) -> str:
    """Return the whole resource name of a model."""
    return f"projects/{inputs['project']}/locations/{inputs['location']}/models/{inputs['modelId']}"


class Model(Handler):
    """Description and labels are kept as they are declared, from the first version on. Versions stay for good."""

    immutable: ClassVar[frozenset[str]] = frozenset({"project", "location", "environment", "modelId"})

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Describe the model, if it is there already."""
        self._describe(inputs)
        return model_name(inputs), {}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return what the model says of itself; before its first version, what is declared."""
        with explained(f"reading {id_}"):
            there = found(clients(inputs).models.get_model, name=id_)
        if there is None:
            return Found(inputs, {})
        return Found({**inputs, "description": there.description, "labels": dict(there.labels)}, {})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Describe it anew."""
        self._describe(new)
        return {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Keep the model: its versions are the record of what served."""

    def _describe(self, inputs: Properties) -> None:
        api, name = clients(inputs).models, model_name(inputs)
        with explained(f"describing {name}"):
            if found(api.get_model, name=name) is not None:
                api.update_model(request=request(inputs))


def request(inputs: Properties) -> Any:
    """Return the request that describes a model."""
    from google.cloud import aiplatform_v1

    return aiplatform_v1.UpdateModelRequest(
        model=aiplatform_v1.Model(
            name=model_name(inputs), description=inputs["description"], labels=dict(inputs["labels"])
        ),
        update_mask={"paths": ["description", "labels"]},
    )

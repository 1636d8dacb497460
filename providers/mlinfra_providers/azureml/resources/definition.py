"""Definitions: what a feature set and a training job are, as blobs beside the models. They start nothing."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from mlinfra_providers.azureml.clients import delete_blob, place_of, read_blob, write_blob
from mlinfra_providers.azureml.replacing import lost_columns
from mlinfra_providers.handler import Found, Handler, Properties

_PLACE = frozenset({"environment", "subscriptionId", "resourceGroupName", "workspaceName", "account", "container"})


class Definition(Handler):
    """A blob of JSON, with the inputs that `written` names."""

    immutable: ClassVar[frozenset[str]] = _PLACE
    written: ClassVar[tuple[str, ...]] = ("content",)

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Write it."""
        write_blob(place_of(inputs), json.dumps(self._body(inputs), sort_keys=True).encode(), anyhow=True)
        return f"{inputs['account']}/{inputs['container']}/{inputs['record']}", {}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return what is really there."""
        found = read_blob(place_of(inputs))
        return None if found is None else Found({**inputs, **self._inputs(json.loads(found[0]))}, {})

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Write it anew."""
        self.create(new)
        return {}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Remove it, or find it gone; what was made of it stays."""
        delete_blob(place_of(inputs))

    def _body(self, inputs: Properties) -> Any:
        return {key: inputs[key] for key in self.written}

    def _inputs(self, body: Any) -> Properties:
        return dict(body)


class TrainingDefinition(Definition):
    """What the API would be sent, and what was declared, from which a run is judged."""

    immutable: ClassVar[frozenset[str]] = _PLACE | {"record"}
    written: ClassVar[tuple[str, ...]] = ("content", "declared")


class FeatureSetSpec(Definition):
    """The columns of a feature set: the blob is what Azure ML reads. Another set of columns is another blob."""

    def loses(self, old: Properties, new: Properties) -> str | None:
        """Return the columns that whoever reads the feature set would lose."""
        return lost_columns(old, new)

    def delete(self, id_: str, inputs: Properties) -> None:
        """Keep it: a version of the feature set refers to it for good."""

    def _body(self, inputs: Properties) -> Any:
        return inputs["content"]

    def _inputs(self, body: Any) -> Properties:
        return {"content": body}

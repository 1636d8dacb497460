"""The model registry of Vertex AI.

Sources, in the comments of the protobufs (google.cloud.aiplatform_v1.types) unless said otherwise:
- UploadModelRequest: `parent_model` "only when uploading a new version"; `model_id` up to 63 of [a-z0-9_-], the first
  no number and no hyphen.
- Model: the alias `default` is that of the first version (https://cloud.google.com/vertex-ai/docs/model-registry/model-alias);
  an alias is [a-z][a-zA-Z0-9-]{0,126}[a-z0-9]; `version_id` is the API's.
- GetModelRequest: `projects/…/models/…@alias` or `@version`, and without one the default version.
- UpdateModelRequest: what `update_mask` names.
- Names in answers have the project's number (https://cloud.google.com/vertex-ai/docs/reference/rest: examples).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from google.cloud import aiplatform_v1 as vertex

from tests.lab.gcp.names import NUMBER
from tests.lab.gcp.server.answers import Failed
from tests.lab.gcp.server.api import shown
from tests.lab.gcp.server.operations import TYPES, Operations

_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_UPDATED = frozenset({"display_name", "description", "labels", "version_description"})


def canonical(name: str) -> str:
    """Return a resource name with the number in place of the project's id."""
    return re.sub(r"^projects/[^/]+/", f"projects/{NUMBER}/", name)


class Models:
    """Models by name, each with its versions, oldest first."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self.kept: dict[str, list[Any]] = {}

    def upload(self, request: Any) -> dict[str, Any]:
        """UploadModel."""
        parent = canonical(request.parent)
        if request.parent_model:
            name = canonical(request.parent_model)
            if name not in self.kept:
                raise Failed("NOT_FOUND", f"The Model does not exist: {name}")
        else:
            if request.model_id and not _MODEL_ID.fullmatch(request.model_id):
                raise Failed("INVALID_ARGUMENT", f"model_id {request.model_id!r} does not match {_MODEL_ID.pattern}")
            name = f"{parent}/models/{request.model_id or next(self._operations.ids)}"
            if name in self.kept:
                raise Failed("ALREADY_EXISTS", f"Model {name} already exists")
        for alias in request.model.version_aliases:
            if not _ALIAS.fullmatch(alias) or any(alias in item.version_aliases for item in self.kept.get(name, [])):
                raise Failed("INVALID_ARGUMENT", f"Alias {alias!r} cannot be assigned to this version")
        made: Any = vertex.Model()
        type(made).pb(made).CopyFrom(type(request.model).pb(request.model))

        def finish() -> dict[str, Any]:
            versions = self.kept.setdefault(name, [])
            made.name, made.version_id = name, str(len(versions) + 1)
            if not versions:
                made.version_aliases = ["default", *made.version_aliases]
            made.create_time = made.update_time = made.version_create_time = datetime.now(UTC)
            versions.append(made)
            return {"@type": f"{TYPES}.UploadModelResponse", "model": name, "modelVersionId": made.version_id}

        return self._operations.begin("UploadModel", parent, finish)

    def find(self, name: str) -> Any:
        """Return a version by `models/…`, `…@version` or `…@alias`. Raises Failed."""
        model, _, wanted = canonical(name).partition("@")
        for item in self.kept.get(model, ()):
            if (wanted or "default") in (item.version_id, *item.version_aliases):
                return item
        raise Failed("NOT_FOUND", f"The Model does not exist: {name}")

    def get(self, request: Any) -> dict[str, Any]:
        return shown(self.find(request.name))

    def list(self, request: Any) -> dict[str, Any]:
        inside = f"{canonical(request.parent)}/models/"
        return {"models": [shown(items[-1]) for name, items in self.kept.items() if name.startswith(inside)]}

    def versions(self, request: Any) -> dict[str, Any]:
        return {"models": [shown(item) for item in self.kept.get(canonical(request.name), ())]}

    def update(self, request: Any) -> dict[str, Any]:
        """UpdateModel: description and labels are the model's, and so those of every version."""
        there = self.find(request.model.name)
        for path in request.update_mask.paths:
            if path not in _UPDATED:
                raise Failed("INVALID_ARGUMENT", f"update_mask: {path} cannot be updated")
            whose = [there] if path == "version_description" else self.kept[there.name]
            for item in whose:
                setattr(item, path, getattr(request.model, path))
        return shown(there)

    def delete(self, request: Any, *, served: set[str]) -> dict[str, Any]:
        """DeleteModel: refused while a version is deployed somewhere."""
        name = self.find(request.name).name
        if name in served:
            raise Failed("FAILED_PRECONDITION", f"The Model {name} is deployed; undeploy it first")

        def finish() -> dict[str, Any]:
            self.kept.pop(name, None)
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}

        return self._operations.begin("Delete", name, finish)

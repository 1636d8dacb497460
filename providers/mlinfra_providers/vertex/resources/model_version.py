"""ModelVersion: a version of a model, found by an alias that is made of its content, so that it is registered once."""

from __future__ import annotations

from typing import Any, ClassVar

from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.vertex.clients import clients, explained, finished, found
from mlinfra_providers.vertex.resources.model import model_name

_CONTENT = ("artifact", "artifactUri", "containerSpec", "description", "kmsKeyName", "release", "serviceAccount")


class ModelVersion(Handler):
    """Immutable. It stays when its resource goes: it is the record of a model that served."""

    outputs: ClassVar[tuple[str, ...]] = ("model", "versionId")
    immutable: ClassVar[frozenset[str]] = frozenset(
        {"project", "location", "environment", "modelId", "alias", *_CONTENT}
    )

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Register the version, or find it registered."""
        api = clients(inputs).models
        with explained(f"registering release {inputs['release']}"):
            there = _find(api, inputs)
            if there is None:
                first = found(api.get_model, name=model_name(inputs)) is None
                finished(api.upload_model(request=request(inputs, first=first)))
                there = _find(api, inputs)
        return f"{model_name(inputs)}@{inputs['alias']}", _outputs(inputs, there)

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the version with what serves of it; gone when nobody has it."""
        with explained(f"reading {id_}"):
            there = _find(clients(inputs).models, inputs)
        if there is None:
            return None
        seen = {"artifactUri": there.artifact_uri, "description": there.version_description}
        spec = {**inputs["containerSpec"], "imageUri": there.container_spec.image_uri}
        return Found({**inputs, **seen, "containerSpec": spec}, _outputs(inputs, there))

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Leave the version: labels are those of the model, which has a resource of its own."""
        with explained(f"reading {id_}"):
            return _outputs(new, _find(clients(new).models, new))

    def delete(self, id_: str, inputs: Properties) -> None:
        """Keep the version: another release may be made of it, and an auditor may ask for it."""


def request(inputs: Properties, *, first: bool) -> Any:
    """Return the request that registers a version: of a new model, or of one that is there."""
    from google.cloud import aiplatform_v1
    from google.protobuf import json_format

    model = aiplatform_v1.Model(
        display_name=inputs["modelId"],
        description=inputs.get("modelDescription", ""),
        version_description=inputs["description"],
        version_aliases=[inputs["alias"]],
        artifact_uri=inputs["artifactUri"],
        encryption_spec={"kms_key_name": inputs["kmsKeyName"]},
        labels=dict(inputs["labels"]),
    )
    json_format.ParseDict(dict(inputs["containerSpec"]), aiplatform_v1.Model.pb(model).container_spec)
    return aiplatform_v1.UploadModelRequest(
        parent=f"projects/{inputs['project']}/locations/{inputs['location']}",
        parent_model="" if first else model_name(inputs),
        model_id=inputs["modelId"] if first else "",
        model=model,
        service_account=inputs["serviceAccount"],
    )


def _find(api: Any, inputs: Properties) -> Any:
    return found(api.get_model, name=f"{model_name(inputs)}@{inputs['alias']}")


def _outputs(inputs: Properties, there: Any) -> Properties:
    return {"model": model_name(inputs), "versionId": there.version_id if there is not None else ""}

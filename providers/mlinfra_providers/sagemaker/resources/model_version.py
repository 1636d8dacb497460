"""ModelVersion: a version in a model package group, which pulumi-aws has no resource for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlinfra_providers.handler import Found, Handler, Properties
from mlinfra_providers.sagemaker.clients import clients, explained, is_gone

_CONTENT = ("artifact", "image", "release", "runtime", "runtimeVersion", "run")


class ModelVersion(Handler):
    """Immutable but for its approval. It is found by what it was made of, so that it is registered once.

    It stays when its resource goes: it is the record of a model that served.
    """

    outputs: ClassVar[tuple[str, ...]] = ("arn",)
    immutable: ClassVar[frozenset[str]] = frozenset(
        {"account", "region", "environment", "modelPackageGroupName", "modelData", *_CONTENT}
    )

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        """Register the version, or find it registered."""
        with explained(f"registering release {inputs['release']}"):
            api = clients(inputs)("sagemaker")
            arn = _find(api, inputs) or api.create_model_package(**request(inputs))["ModelPackageArn"]
            api.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=inputs["modelApprovalStatus"])
        return arn, {"arn": arn}

    def read(self, id_: str, inputs: Properties) -> Found | None:
        """Return the version with the approval that it has; gone when nobody has it."""
        from botocore.exceptions import ClientError

        with explained(f"reading {id_}"):
            try:
                found = clients(inputs)("sagemaker").describe_model_package(ModelPackageName=id_)
            except ClientError as error:
                if is_gone(error):
                    return None
                raise
        kept = found.get("CustomerMetadataProperties", {})
        known = {key: kept[key] for key in _CONTENT if key in kept}
        return Found(
            {**inputs, **known, "modelApprovalStatus": found.get("ModelApprovalStatus")},
            {"arn": found["ModelPackageArn"]},
        )

    def update(self, id_: str, old: Properties, new: Properties) -> Properties:
        """Set the approval."""
        with explained(f"approving {id_}"):
            clients(new)("sagemaker").update_model_package(
                ModelPackageArn=id_, ModelApprovalStatus=new["modelApprovalStatus"]
            )
        return {"arn": id_}

    def delete(self, id_: str, inputs: Properties) -> None:
        """Keep the version: another release may be made of it, and an auditor may ask for it."""


def request(inputs: Properties) -> dict[str, Any]:
    """Return the arguments of CreateModelPackage."""
    source = {"S3Uri": inputs["modelData"], "S3DataType": "S3Prefix", "CompressionType": "None"}
    return {
        "ModelPackageGroupName": inputs["modelPackageGroupName"],
        "ModelPackageDescription": f"release {inputs['release']}, made by {inputs['run']}",
        "InferenceSpecification": {
            "Containers": [{"Image": inputs["image"], "ModelDataSource": {"S3DataSource": source}}],
            "SupportedContentTypes": ["application/json", "text/csv"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        "ModelApprovalStatus": inputs["modelApprovalStatus"],
        "CustomerMetadataProperties": _metadata(inputs),
    }


def _metadata(inputs: Properties) -> Mapping[str, str]:
    return {key: str(inputs[key]) for key in _CONTENT}


def _find(api: Any, inputs: Properties) -> str | None:
    wanted = _metadata(inputs)
    pages = api.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=inputs["modelPackageGroupName"], SortBy="CreationTime", SortOrder="Descending"
    )
    for page in pages:
        for item in page["ModelPackageSummaryList"]:
            found = api.describe_model_package(ModelPackageName=item["ModelPackageArn"])
            if found.get("CustomerMetadataProperties") == wanted:
                return str(found["ModelPackageArn"])
    return None

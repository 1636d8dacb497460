"""Empties what AWS deletes only when nothing is in it, before its resource goes: buckets, and model package groups.

`forceDestroy` of a bucket is not declared: whoever deletes a protected bucket by mistake would lose what is in it.
DeleteBucket demands that all versions and markers of deletions are gone
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/delete-bucket.html), DeleteModelPackageGroup that all model
packages are (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteModelPackageGroup.html).
"""

from __future__ import annotations

from typing import Any

from mlinfra.problems import MlinfraError
from mlinfra.resources import Resources
from mlinfra_providers.sagemaker.clients import Clients, explained, gone_is_fine, is_gone

_BUCKET = "aws:s3/bucket:Bucket"
_GROUP = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"


def empty(clients: Clients, recorded: Resources) -> None:
    """Remove every version of every object of the recorded buckets, and every version of the recorded groups.

    Raises:
        MlinfraError: AWS keeps something, an object under a lock for example.
    """
    for resource in recorded.declared():
        if resource.type == _BUCKET and resource.id:
            _bucket(clients("s3"), resource.id)
        elif resource.type == _GROUP and resource.id:
            _group(clients("sagemaker"), resource.id)


def _bucket(api: Any, name: str) -> None:
    from botocore.exceptions import ClientError

    with explained(f"emptying the bucket {name}"):
        try:
            # pages of 1000, as many as DeleteObjects takes
            for page in api.get_paginator("list_object_versions").paginate(Bucket=name):
                found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
                if objects:
                    told = api.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
                    _refuse_rest(name, told.get("Errors", ()))
        except ClientError as error:
            if not is_gone(error) and error.response.get("Error", {}).get("Code") != "NoSuchBucket":
                raise


def _refuse_rest(bucket: str, errors: Any) -> None:
    for error in errors:
        raise MlinfraError(
            f"emptying the bucket {bucket}: {error['Key']} is not deleted: {error['Code']}: {error.get('Message')}",
            remedy="take the lock off, or let its time end; then the same command again",
        )


def _group(api: Any, name: str) -> None:
    with explained(f"removing the versions of {name}"), gone_is_fine():
        pages = api.get_paginator("list_model_packages").paginate(ModelPackageGroupName=name)
        versions = [item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]]
        for version in versions:
            with gone_is_fine():
                api.delete_model_package(ModelPackageName=version)

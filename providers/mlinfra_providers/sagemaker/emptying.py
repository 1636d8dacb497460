"""Empties what AWS deletes only when nothing is in it, before its resource goes: buckets, and model package groups.

`forceDestroy` of a bucket is not declared: whoever deletes a protected bucket by mistake would lose what is in it.
DeleteBucket demands that all versions and markers of deletions are gone
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/delete-bucket.html), DeleteModelPackageGroup that all model
packages are (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteModelPackageGroup.html).
"""

from __future__ import annotations

from typing import Any

from mlinfra.environment import Environment
from mlinfra.problems import MlinfraError
from mlinfra.resources import Resources
from mlinfra_providers.sagemaker.clients import Clients, explained, gone_is_fine, is_gone
from mlinfra_providers.sagemaker.storage import bucket_name

AT_ONCE = 1000
"""As many as DeleteObjects takes (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html)."""
_BUCKET = "aws:s3/bucket:Bucket"
_GROUP = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"


def empty(clients: Clients, environment: Environment, recorded: Resources) -> None:
    """Remove all versions of all objects of the environment's bucket, and of the models of its groups, if recorded.

    A bucket that a stack declares by itself is not emptied: what is in it is not mlinfra's.

    Raises:
        MlinfraError: AWS keeps something, an object under a lock for example.
    """
    for resource in recorded.declared():
        if resource.type == _BUCKET and resource.id == bucket_name(environment):
            _bucket(clients("s3"), resource.id)
        elif resource.type == _GROUP and resource.id.startswith(f"{environment.name}-"):
            _group(clients("sagemaker"), resource.id)


def _bucket(api: Any, name: str) -> None:
    from botocore.exceptions import ClientError

    with explained(f"emptying the bucket {name}"):
        try:
            # always the first page: what the next one would begin after is deleted
            while found := _page(api, name):
                told = api.delete_objects(Bucket=name, Delete={"Objects": found, "Quiet": True})
                _refuse_rest(name, told.get("Errors", ()))
        except ClientError as error:
            if not is_gone(error) and error.response.get("Error", {}).get("Code") != "NoSuchBucket":
                raise


def _page(api: Any, name: str) -> list[dict[str, str]]:
    page = api.list_object_versions(Bucket=name, MaxKeys=AT_ONCE)
    found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
    return [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]


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

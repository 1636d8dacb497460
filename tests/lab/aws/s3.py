"""S3: a bucket, and one type for each of its settings.

https://docs.aws.amazon.com/AmazonS3/latest/API; names of the wire from pulumi_aws.s3. A setting is known by its
bucket, so it has no name of its own and its id is the bucket's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.lab.aws.kinds import Account, Kind, tag_list
from tests.lab.cloud import Failure
from tests.lab.wire import UNKNOWN, Properties

ASIDE = frozenset({"region", "forceDestroy", "expectedBucketOwner", "skipDestroy", "bucketPrefix", "mfa"})


@dataclass(frozen=True)
class Bucket(Kind):
    """Tags come with a call of their own; with `forceDestroy` what is in it goes too."""

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        """The pattern is not in the model: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""
        yield from super().problems(inputs)
        name = inputs["bucket"]
        allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-.")
        if name != UNKNOWN and (not 3 <= len(name) <= 63 or set(name) - allowed or not name[0].isalnum()):
            yield Failure(("bucket",), f"{name!r} is no name of a bucket: 3 to 63 of a-z, 0-9, - and .")

    def made(self, account: Account, inputs: Properties) -> str:
        name: str = inputs["bucket"]
        where = {"CreateBucketConfiguration": {"LocationConstraint": account.region}}
        parameters, _ = self.translated({key: item for key, item in inputs.items() if key != "tags"}, self.create)
        account.call("s3", "CreateBucket", **parameters, **(where if account.region != "us-east-1" else {}))
        if inputs.get("tags"):
            self.tag(account, name, "", inputs["tags"], [])
        return name

    def found(self, account: Account, id_: str) -> Properties | None:
        if account.find("s3", "HeadBucket", Bucket=id_) is None:
            return None
        region = account.region
        return {
            "Bucket": id_,
            "Arn": f"arn:aws:s3:::{id_}",
            "Domain": f"{id_}.s3.amazonaws.com",
            "Regional": f"{id_}.s3.{region}.amazonaws.com",
            "Tags": (account.find("s3", "GetBucketTagging", Bucket=id_) or {}).get("TagSet", []),
        }

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        there = (account.find("s3", "GetBucketTagging", Bucket=id_) or {}).get("TagSet", [])
        wanted = {tag["Key"]: tag["Value"] for tag in there if tag["Key"] not in drop} | put
        account.call("s3", "PutBucketTagging", Bucket=id_, Tagging={"TagSet": tag_list(wanted)})

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        """`forceDestroy` is the provider's own."""

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        if inputs.get("forceDestroy"):
            _delete_versions(account, id_, "")
        super().removed(account, id_, inputs)


def _delete_versions(account: Account, bucket: str, prefix: str) -> None:
    """Delete every version, and every marker of a deletion, of what begins so."""
    listed: Any = account.find("s3", "ListObjectVersions", Bucket=bucket, Prefix=prefix) or {}
    for item in [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]:
        account.find("s3", "DeleteObject", Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])


@dataclass(frozen=True)
class Setting(Kind):
    """What is put on a bucket, and got and deleted by the bucket's name."""

    @property
    def in_place(self) -> frozenset[str]:
        return frozenset(self.arguments.types) - {"bucket"}

    def found(self, account: Account, id_: str) -> Properties | None:
        answer: Properties | None = account.find("s3", self.read, Bucket=id_)
        if not answer:
            return None
        return {"Bucket": id_, self.envelope: answer.get(self.envelope, answer)}

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        self.made(account, new)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        if account.find("s3", "HeadBucket", Bucket=id_) is not None:
            super().removed(account, id_, inputs)


@dataclass(frozen=True)
class Versioning(Setting):
    """It cannot be deleted, only suspended (PutBucketVersioning)."""

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        account.find("s3", self.create, Bucket=id_, VersioningConfiguration={"Status": "Suspended"})


@dataclass(frozen=True)
class Object(Kind):
    """Known by bucket and key; putting it again changes it."""

    @property
    def in_place(self) -> frozenset[str]:
        return frozenset(self.arguments.types) - {"bucket", "key"}

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        if "kmsKeyId" in inputs:
            parameters |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": inputs["kmsKeyId"]}
        if inputs.get("tags"):
            parameters["Tagging"] = urlencode(inputs["tags"])
        account.call("s3", "PutObject", **parameters, Body=inputs.get("content", "").encode())
        return f"{inputs['bucket']}/{inputs['key']}"

    def found(self, account: Account, id_: str) -> Properties | None:
        bucket, _, key = id_.partition("/")
        answer: Any = account.find("s3", self.read, Bucket=bucket, Key=key)
        if answer is None:
            return None
        tags: Any = account.call("s3", "GetObjectTagging", Bucket=bucket, Key=key)
        arn = f"arn:aws:s3:::{bucket}/{key}"
        content = answer["Body"].read().decode(errors="replace")
        return {**answer, "Bucket": bucket, "Key": key, "content": content, "Arn": arn, "TagSet": tags["TagSet"]}

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        """Tags are put with the object."""

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        self.made(account, new)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        """The provider removes all versions, or the bucket could never be deleted."""
        bucket, _, key = id_.partition("/")
        _delete_versions(account, bucket, key)


def _setting(type_: str, create: str, delete: str, envelope: str, shape: Any = Setting, **renames: str) -> Setting:
    setting: Setting = shape(
        token=f"aws:s3/{type_[0].lower()}{type_[1:]}:{type_}",
        service="s3",
        create=create,
        read=create.replace("Put", "Get"),
        delete=delete,
        key="Bucket",
        envelope=envelope,
        named="",
        renames=renames,
        aside=ASIDE,
    )
    return setting


_PUBLIC = "PublicAccessBlockConfiguration"
KINDS: list[Kind] = [
    Bucket(
        token="aws:s3/bucket:Bucket",
        service="s3",
        create="CreateBucket",
        read="HeadBucket",
        delete="DeleteBucket",
        key="Bucket",
        named="bucket",
        renames={"objectLockEnabled": "ObjectLockEnabledForBucket"},
        aside=ASIDE | {"tags"},
        changes={"forceDestroy": ""},
        outputs={"arn": "Arn", "bucketDomainName": "Domain", "bucketRegionalDomainName": "Regional"},
    ),
    _setting("BucketVersioning", "PutBucketVersioning", "", "VersioningConfiguration", Versioning),
    _setting(
        "BucketServerSideEncryptionConfiguration",
        "PutBucketEncryption",
        "DeleteBucketEncryption",
        "ServerSideEncryptionConfiguration",
        **{
            "rules": "ServerSideEncryptionConfiguration.Rules",
            "rules.applyServerSideEncryptionByDefault.kmsMasterKeyId": "KMSMasterKeyID",
            "rules.blockedEncryptionTypes": "BlockedEncryptionTypes.EncryptionType",
        },
    ),
    _setting(
        "BucketPublicAccessBlock",
        "PutPublicAccessBlock",
        "DeletePublicAccessBlock",
        _PUBLIC,
        **{
            name: f"{_PUBLIC}.{name[0].upper()}{name[1:]}"
            for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        },
    ),
    _setting(
        "BucketLifecycleConfiguration",
        "PutBucketLifecycleConfiguration",
        "DeleteBucketLifecycle",
        "LifecycleConfiguration",
        **{"rules": "LifecycleConfiguration.Rules", "rules.id": "ID"},
    ),
    _setting("BucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy", "Policy"),
    _setting(
        "BucketOwnershipControls",
        "PutBucketOwnershipControls",
        "DeleteBucketOwnershipControls",
        "OwnershipControls",
        rule="OwnershipControls.Rules",
    ),
    Object(
        token="aws:s3/bucketObject:BucketObject",
        service="s3",
        create="PutObject",
        read="GetObject",
        delete="DeleteObject",
        key="Key",
        named="",
        renames={"kmsKeyId": "SSEKMSKeyId"},
        aside=ASIDE | {"tags", "content", "kmsKeyId", "source", "sourceHash", "etag"},
        outputs={"arn": "Arn", "etag": "ETag", "versionId": "VersionId", "content": "content"},
    ),
]

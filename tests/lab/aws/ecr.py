"""ECR: https://docs.aws.amazon.com/AmazonECR/latest/APIReference; names of the wire from pulumi_aws.ecr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.lab.aws.kinds import Account, Kind, tag_list
from tests.lab.wire import Properties


@dataclass(frozen=True)
class Repository(Kind):
    """Described among others; its tags and settings change in place, its encryption does not."""

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        if (listed := inputs.get("encryptionConfigurations")) is not None:
            names = {"encryptionType": "encryptionType", "kmsKey": "kmsKey"}
            first = {names[key]: value for key, value in listed[0].items()}
            parameters["encryptionConfiguration"] = first
        account.call("ecr", self.create, **parameters)
        return str(inputs["name"])

    def found(self, account: Account, id_: str) -> Properties | None:
        listed: Any = account.find("ecr", self.read, repositoryNames=[id_])
        if not listed or not listed["repositories"]:
            return None
        found: Properties = listed["repositories"][0]
        found["tags"] = account.call("ecr", "ListTagsForResource", resourceArn=found["repositoryArn"])["tags"]
        return found

    def live(self, account: Account, id_: str) -> Properties | None:
        wire = super().live(account, id_)
        if wire is not None and isinstance(wire.get("encryptionConfiguration"), dict):
            wire["encryptionConfigurations"] = [wire.pop("encryptionConfiguration")]
        return wire

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("ecr", "UntagResource", resourceArn=arn, tagKeys=drop)
        if put:
            account.call("ecr", "TagResource", resourceArn=arn, tags=tag_list(put))

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        account.find("ecr", self.delete, repositoryName=id_)


KINDS: list[Kind] = [
    Repository(
        token="aws:ecr/repository:Repository",
        service="ecr",
        create="CreateRepository",
        read="DescribeRepositories",
        delete="DeleteRepository",
        key="repositoryName",
        longest=256,
        renames={"name": "repositoryName"},
        aside=frozenset({"region", "forceDelete", "encryptionConfigurations"}),
        outputs={"arn": "repositoryArn", "repositoryUrl": "repositoryUri"},
    )
]

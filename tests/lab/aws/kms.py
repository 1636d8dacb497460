"""KMS: https://docs.aws.amazon.com/kms/latest/APIReference; names of the wire from pulumi_aws.kms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.lab.aws.iam import policy_problems
from tests.lab.aws.kinds import Account, Kind
from tests.lab.cloud import Failure
from tests.lab.wire import Properties


@dataclass(frozen=True)
class Key(Kind):
    """Rotation is a call of its own; a key is never deleted at once, it is scheduled (ScheduleKeyDeletion)."""

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from super().problems(inputs)
        yield from policy_problems(inputs, "policy")
        for name, least, most in (("rotationPeriodInDays", 90, 2560), ("deletionWindowInDays", 7, 30)):
            days = inputs.get(name)
            if isinstance(days, int) and not least <= days <= most:
                yield Failure((name,), f"{days} is not between {least} and {most}")

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        parameters["Tags"] = [{"TagKey": key, "TagValue": value} for key, value in inputs.get("tags", {}).items()]
        id_ = str(account.call("kms", "CreateKey", **parameters)["KeyMetadata"]["KeyId"])
        self._rotate(account, id_, inputs)
        return id_

    def _rotate(self, account: Account, id_: str, inputs: Properties) -> None:
        if inputs.get("enableKeyRotation"):
            period = inputs.get("rotationPeriodInDays")
            account.call("kms", "EnableKeyRotation", KeyId=id_, **({"RotationPeriodInDays": period} if period else {}))
        else:
            account.call("kms", "DisableKeyRotation", KeyId=id_)

    def found(self, account: Account, id_: str) -> Properties | None:
        answer = super().found(account, id_)
        if answer is None or answer.get("KeyState") == "PendingDeletion":
            return None
        rotation: Any = account.call("kms", "GetKeyRotationStatus", KeyId=id_)
        answer |= {"Rotation": rotation["KeyRotationEnabled"], "Period": rotation.get("RotationPeriodInDays")}
        answer["Policy"] = account.call("kms", "GetKeyPolicy", KeyId=id_, PolicyName="default")["Policy"]
        answer["Tags"] = account.call("kms", "ListResourceTags", KeyId=id_)["Tags"]
        return answer

    def live(self, account: Account, id_: str) -> Properties | None:
        wire = super().live(account, id_)
        answer = self.found(account, id_) if wire is not None else None
        if wire is None or answer is None:
            return None
        wire |= {"enableKeyRotation": answer["Rotation"], "keyId": id_, "policy": answer["Policy"]}
        wire |= {"rotationPeriodInDays": answer["Period"]} if answer["Period"] else {}
        return wire

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("kms", "UntagResource", KeyId=id_, TagKeys=drop)
        if put:
            tags = [{"TagKey": key, "TagValue": value} for key, value in put.items()]
            account.call("kms", "TagResource", KeyId=id_, Tags=tags)

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        if {"enableKeyRotation", "rotationPeriodInDays"} & names:
            self._rotate(account, id_, new)
        if "policy" in names:
            account.call("kms", "PutKeyPolicy", KeyId=id_, PolicyName="default", Policy=new["policy"])
        if "description" in names:
            account.call("kms", "UpdateKeyDescription", KeyId=id_, Description=new.get("description", ""))

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        if self.found(account, id_) is not None:
            days = inputs.get("deletionWindowInDays", 30)
            account.call("kms", "ScheduleKeyDeletion", KeyId=id_, PendingWindowInDays=days)


@dataclass(frozen=True)
class Alias(Kind):
    """Found among all aliases: there is no call that describes one."""

    def found(self, account: Account, id_: str) -> Properties | None:
        listed: Any = account.client("kms").get_paginator("list_aliases").paginate().build_full_result()
        for alias in listed["Aliases"]:
            if alias["AliasName"] == id_:
                return dict(alias)
        return None


KINDS: list[Kind] = [
    Key(
        token="aws:kms/key:Key",
        service="kms",
        create="CreateKey",
        read="DescribeKey",
        delete="ScheduleKeyDeletion",
        key="KeyId",
        envelope="KeyMetadata",
        named="",
        aside=frozenset({"region", "tags", "enableKeyRotation", "rotationPeriodInDays", "deletionWindowInDays",
                         "bypassPolicyLockoutSafetyCheck"}),
        changes=dict.fromkeys(
            ("enableKeyRotation", "rotationPeriodInDays", "deletionWindowInDays", "policy", "description"), ""
        ),
        outputs={"arn": "Arn"},
    ),
    Alias(
        token="aws:kms/alias:Alias",
        service="kms",
        create="CreateAlias",
        read="ListAliases",
        delete="DeleteAlias",
        key="AliasName",
        longest=256,
        renames={"name": "AliasName"},
        changes={"targetKeyId": "UpdateAlias"},
        outputs={"arn": "AliasArn"},
    ),
]  # fmt: skip

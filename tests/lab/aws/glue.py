"""Glue: https://docs.aws.amazon.com/glue/latest/webapi; names of the wire from pulumi_aws.glue."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.aws.kinds import Account, Kind
from tests.lab.cloud import Failure
from tests.lab.wire import Properties

_NESTED = ("name", "description", "locationUri", "parameters", "createTableDefaultPermissions", "targetDatabase")


@dataclass(frozen=True)
class Database(Kind):
    """Known by catalogue and name; putting it again changes everything but these."""

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        account.call("glue", self.create, **parameters)
        owner = inputs.get("catalogId") or account.call("sts", "GetCallerIdentity")["Account"]
        return f"{owner}:{inputs['name']}"

    def found(self, account: Account, id_: str) -> Properties | None:
        owner, _, name = id_.partition(":")
        answer: Properties | None = account.find("glue", self.read, Name=name)
        if answer is None:
            return None
        arn = f"arn:aws:glue:{account.region}:{owner}:database/{name}"
        tags = account.call("glue", "GetTags", ResourceArn=arn)["Tags"]
        return {"DatabaseInput": answer["Database"], "CatalogId": owner, "Arn": arn, "Tags": tags}

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("glue", "UntagResource", ResourceArn=arn, TagsToRemove=drop)
        if put:
            account.call("glue", "TagResource", ResourceArn=arn, TagsToAdd=put)

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        parameters, _ = self.translated({key: item for key, item in new.items() if key != "tags"}, "UpdateDatabase")
        if names:
            account.call("glue", "UpdateDatabase", **{**parameters, "Name": new["name"]})

    def translated(self, inputs: Properties, name: str) -> tuple[Properties, list[Failure]]:
        parameters, failures = super().translated(inputs, name)
        return parameters, [failure for failure in failures if failure.path != ("name",) or name == self.create]

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        account.find("glue", self.delete, Name=id_.partition(":")[2])


KINDS: list[Kind] = [
    Database(
        token="aws:glue/catalogDatabase:CatalogDatabase",
        service="glue",
        create="CreateDatabase",
        read="GetDatabase",
        delete="DeleteDatabase",
        key="Name",
        longest=255,
        renames={name: f"DatabaseInput.{name[0].upper()}{name[1:]}" for name in _NESTED},
        changes=dict.fromkeys(_NESTED[1:], ""),
        outputs={"arn": "Arn"},
    )
]

"""IAM: https://docs.aws.amazon.com/IAM/latest/APIReference; names of the wire from pulumi_aws.iam."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.lab.aws.kinds import Account, Kind, tag_list
from tests.lab.cloud import Failure
from tests.lab.wire import UNKNOWN, Properties


def policy_problems(inputs: Properties, name: str) -> Iterator[Failure]:
    """Yield what makes a policy document no policy (MalformedPolicyDocument)."""
    text = inputs.get(name)
    if not isinstance(text, str) or UNKNOWN in text:
        return
    try:
        document = json.loads(text)
        statements = document["Statement"]
    except (ValueError, KeyError, TypeError):
        yield Failure((name,), "is no JSON policy document with a Statement")
        return
    for index, statement in enumerate(statements if isinstance(statements, list) else [statements]):
        if statement.get("Effect") not in ("Allow", "Deny"):
            yield Failure((name,), f"Statement[{index}].Effect: {statement.get('Effect')!r} is not one of Allow, Deny")
        if not {"Action", "NotAction"} & statement.keys():
            yield Failure((name,), f"Statement[{index}] has no Action")


@dataclass(frozen=True)
class Role(Kind):
    """The trust policy, tags and a few settings change in place; inline and managed policies are types of their own."""

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from super().problems(inputs)
        yield from policy_problems(inputs, "assumeRolePolicy")

    def live(self, account: Account, id_: str) -> Properties | None:
        found = super().live(account, id_)
        if found is not None and not isinstance(found.get("assumeRolePolicy"), str):
            found["assumeRolePolicy"] = json.dumps(found.get("assumeRolePolicy"))
        return found

    def found(self, account: Account, id_: str) -> Properties | None:
        answer = super().found(account, id_)
        if answer and "PermissionsBoundary" in answer:
            answer["PermissionsBoundary"] = answer["PermissionsBoundary"]["PermissionsBoundaryArn"]
        return answer

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("iam", "UntagRole", RoleName=id_, TagKeys=drop)
        if put:
            account.call("iam", "TagRole", RoleName=id_, Tags=tag_list(put))

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        if "assumeRolePolicy" in names:
            account.call("iam", "UpdateAssumeRolePolicy", RoleName=id_, PolicyDocument=new["assumeRolePolicy"])
        if "permissionsBoundary" in names and new.get("permissionsBoundary"):
            account.call(
                "iam", "PutRolePermissionsBoundary", RoleName=id_, PermissionsBoundary=new["permissionsBoundary"]
            )
        elif "permissionsBoundary" in names:
            account.call("iam", "DeleteRolePermissionsBoundary", RoleName=id_)
        if {"description", "maxSessionDuration"} & names:
            more: dict[str, Any] = {"Description": new.get("description", "")}
            if "maxSessionDuration" in new:
                more["MaxSessionDuration"] = new["maxSessionDuration"]
            account.call("iam", "UpdateRole", RoleName=id_, **more)


@dataclass(frozen=True)
class RolePolicy(Kind):
    """Known by role and name; putting it again changes it."""

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from super().problems(inputs)
        yield from policy_problems(inputs, "policy")

    def made(self, account: Account, inputs: Properties) -> str:
        super().made(account, inputs)
        return f"{inputs['role']}:{inputs['name']}"

    def found(self, account: Account, id_: str) -> Properties | None:
        role, _, name = id_.partition(":")
        answer: Properties | None = account.find("iam", self.read, RoleName=role, PolicyName=name)
        if answer is not None:
            answer["PolicyDocument"] = json.dumps(answer["PolicyDocument"])
        return answer

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        self.made(account, new)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        role, _, name = id_.partition(":")
        account.find("iam", self.delete, RoleName=role, PolicyName=name)


@dataclass(frozen=True)
class Attachment(Kind):
    """A managed policy at a role; has no settings of its own."""

    def made(self, account: Account, inputs: Properties) -> str:
        super().made(account, inputs)
        return f"{inputs['role']}/{inputs['policyArn']}"

    def found(self, account: Account, id_: str) -> Properties | None:
        role, _, arn = id_.partition("/")
        listed: Any = account.find("iam", self.read, RoleName=role)
        there = [item["PolicyArn"] for item in (listed or {}).get("AttachedPolicies", [])]
        return {"RoleName": role, "PolicyArn": arn} if arn in there else None

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        role, _, arn = id_.partition("/")
        account.find("iam", self.delete, RoleName=role, PolicyArn=arn)


@dataclass(frozen=True)
class ByArn(Kind):
    """Known by an ARN that the cloud gives."""

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from super().problems(inputs)
        yield from policy_problems(inputs, "policy")

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        answer: Any = account.call("iam", self.create, **parameters)
        return str(answer.get("OpenIDConnectProviderArn") or answer["Policy"]["Arn"])

    def found(self, account: Account, id_: str) -> Properties | None:
        answer = super().found(account, id_)
        if answer is None:
            return None
        answer["Arn"] = id_
        if self.envelope == "Policy":
            version = account.call("iam", "GetPolicyVersion", PolicyArn=id_, VersionId=answer["DefaultVersionId"])
            answer["PolicyDocument"] = json.dumps(version["PolicyVersion"]["Document"])
        elif not answer["Url"].startswith("https://"):
            answer["Url"] = f"https://{answer['Url']}"
        return answer

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        account.call("iam", "CreatePolicyVersion", PolicyArn=id_, PolicyDocument=new["policy"], SetAsDefault=True)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        if self.envelope == "Policy":
            listed: Any = account.find("iam", "ListPolicyVersions", PolicyArn=id_) or {"Versions": []}
            for version in listed["Versions"]:
                if not version["IsDefaultVersion"]:
                    account.call("iam", "DeletePolicyVersion", PolicyArn=id_, VersionId=version["VersionId"])
        super().removed(account, id_, inputs)


KINDS: list[Kind] = [
    Role(
        token="aws:iam/role:Role",
        service="iam",
        create="CreateRole",
        read="GetRole",
        delete="DeleteRole",
        key="RoleName",
        envelope="Role",
        longest=64,
        renames={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
        aside=frozenset({"forceDetachPolicies"}),
        changes=dict.fromkeys(
            ("assumeRolePolicy", "description", "maxSessionDuration", "permissionsBoundary", "forceDetachPolicies"), ""
        ),
        outputs={"arn": "Arn", "uniqueId": "RoleId"},
    ),
    RolePolicy(
        token="aws:iam/rolePolicy:RolePolicy",
        service="iam",
        create="PutRolePolicy",
        read="GetRolePolicy",
        delete="DeleteRolePolicy",
        key="PolicyName",
        longest=128,
        renames={"name": "PolicyName", "role": "RoleName", "policy": "PolicyDocument"},
        changes={"policy": ""},
    ),
    Attachment(
        token="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        service="iam",
        create="AttachRolePolicy",
        read="ListAttachedRolePolicies",
        delete="DetachRolePolicy",
        key="PolicyArn",
        named="",
        renames={"role": "RoleName"},
    ),
    ByArn(
        token="aws:iam/policy:Policy",
        service="iam",
        create="CreatePolicy",
        read="GetPolicy",
        delete="DeletePolicy",
        key="PolicyArn",
        envelope="Policy",
        longest=128,
        renames={"name": "PolicyName", "policy": "PolicyDocument"},
        changes={"policy": ""},
        outputs={"arn": "Arn"},
    ),
    ByArn(
        token="aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        service="iam",
        create="CreateOpenIDConnectProvider",
        read="GetOpenIDConnectProvider",
        delete="DeleteOpenIDConnectProvider",
        key="OpenIDConnectProviderArn",
        named="",
        renames={"clientIdLists": "ClientIDList", "thumbprintLists": "ThumbprintList"},
        outputs={"arn": "Arn"},
    ),
]

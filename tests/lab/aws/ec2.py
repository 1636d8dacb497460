"""EC2's networks: https://docs.aws.amazon.com/AWSEC2/latest/APIReference; names of the wire from pulumi_aws.ec2."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from tests.lab.aws.kinds import Account, Kind, tag_list
from tests.lab.cloud import Failure
from tests.lab.wire import UNKNOWN, Properties


@dataclass(frozen=True)
class Ec2Kind(Kind):
    """Known by an id that the cloud gives; asked for with a list of one id; tags have calls of their own."""

    service: str = "ec2"
    create: str = ""
    read: str = ""
    delete: str = ""
    key: str = ""
    named: str = ""
    answered: str = ""
    listed: str = ""
    kind: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from super().problems(inputs)
        block = inputs.get("cidrBlock")
        if isinstance(block, str) and block != UNKNOWN:
            try:
                ip_network(block)
            except ValueError as error:
                yield Failure(("cidrBlock",), str(error))

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        if inputs.get("tags"):
            parameters["TagSpecifications"] = [{"ResourceType": self.kind, "Tags": tag_list(inputs["tags"])}]
        answer: Any = account.call("ec2", self.create, **parameters)
        id_ = str(answer[self.answered][self.key] if self.answered else answer[self.key])
        self._attributes(account, id_, inputs, {name for name in self.attributes if name in inputs})
        return id_

    def _attributes(self, account: Account, id_: str, inputs: Properties, names: set[str]) -> None:
        verb = f"Modify{self.create.removeprefix('Create')}Attribute"
        for name in sorted(names & self.attributes.keys()):
            if name in inputs:
                account.call("ec2", verb, **{self.key: id_, self.attributes[name]: {"Value": inputs[name]}})

    def found(self, account: Account, id_: str) -> Properties | None:
        answer: Any = account.find("ec2", self.read, **{f"{self.key}s": [id_]})
        items = [item for item in (answer or {}).get(self.listed, []) if item.get("State") != "deleted"]
        if not items:
            return None
        found = dict(items[0])
        if self.kind == "vpc":
            for name, member in self.attributes.items():
                told: Any = account.call("ec2", "DescribeVpcAttribute", VpcId=id_, Attribute=_lower(member))
                found[name] = told[member]["Value"]
        found.setdefault("Arn", f"arn:aws:ec2:{account.region}:{found['OwnerId']}:{self.kind}/{id_}")
        return found

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("ec2", "DeleteTags", Resources=[id_], Tags=[{"Key": key} for key in drop])
        if put:
            account.call("ec2", "CreateTags", Resources=[id_], Tags=tag_list(put))

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        self._attributes(account, id_, new, names)


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


@dataclass(frozen=True)
class SecurityGroup(Ec2Kind):
    """Rules may be part of it; the provider takes away the rule that lets everything out, unless it is declared."""

    def made(self, account: Account, inputs: Properties) -> str:
        given = {"description": "Managed by Pulumi", **inputs}
        id_ = super().made(account, given)
        if "egress" in inputs:
            account.call("ec2", "RevokeSecurityGroupEgress", GroupId=id_, IpPermissions=[_everything()])
        self._authorize(account, id_, inputs, {"ingress", "egress"})
        return id_

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from super().problems({"description": "Managed by Pulumi", **inputs})

    def live(self, account: Account, id_: str) -> Properties | None:
        found = self.found(account, id_)
        wire = super().live(account, id_)
        if found is None or wire is None:
            return None
        for name, member in (("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")):
            wire[name] = [_rule(rule, id_) for rule in found.get(member, [])]
        return wire

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        found = self.found(account, id_) or {}
        for name, member in (("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")):
            if name in names and found.get(member):
                verb = f"RevokeSecurityGroup{name.capitalize()}"
                account.call("ec2", verb, GroupId=id_, IpPermissions=found[member])
        self._authorize(account, id_, new, names)

    def _authorize(self, account: Account, id_: str, inputs: Properties, names: set[str]) -> None:
        for name in ("ingress", "egress"):
            rules = [_permission(rule, id_) for rule in inputs.get(name, [])]
            if name in names and rules:
                verb = f"AuthorizeSecurityGroup{name.capitalize()}"
                account.call("ec2", verb, GroupId=id_, IpPermissions=rules)


def _everything() -> Properties:
    return {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def _permission(rule: Properties, own: str) -> Properties:
    groups = [*rule.get("securityGroups", []), *([own] if rule.get("self") else [])]
    described = {"Description": rule["description"]} if rule.get("description") else {}
    made: Properties = {"IpProtocol": str(rule["protocol"])}
    if made["IpProtocol"] != "-1":
        made |= {"FromPort": rule["fromPort"], "ToPort": rule["toPort"]}
    made["IpRanges"] = [{"CidrIp": block, **described} for block in rule.get("cidrBlocks", [])]
    made["Ipv6Ranges"] = [{"CidrIpv6": block, **described} for block in rule.get("ipv6CidrBlocks", [])]
    made["PrefixListIds"] = [{"PrefixListId": item, **described} for item in rule.get("prefixListIds", [])]
    made["UserIdGroupPairs"] = [{"GroupId": group, **described} for group in groups]
    return {key: value for key, value in made.items() if value != []}


def _rule(permission: Properties, own: str) -> Properties:
    groups = [pair["GroupId"] for pair in permission.get("UserIdGroupPairs", [])]
    everything = [*permission.get("IpRanges", []), *permission.get("UserIdGroupPairs", [])]
    made: Properties = {
        "protocol": permission["IpProtocol"],
        "fromPort": permission.get("FromPort", 0),
        "toPort": permission.get("ToPort", 0),
        "cidrBlocks": [item["CidrIp"] for item in permission.get("IpRanges", [])],
        "ipv6CidrBlocks": [item["CidrIpv6"] for item in permission.get("Ipv6Ranges", [])],
        "prefixListIds": [item["PrefixListId"] for item in permission.get("PrefixListIds", [])],
        "securityGroups": [group for group in groups if group != own],
        "self": own in groups,
    }
    texts = [item["Description"] for item in everything if item.get("Description")]
    if texts:
        made["description"] = texts[0]
    return made


@dataclass(frozen=True)
class GroupRule(Ec2Kind):
    """A rule of a security group as a resource (aws:vpc/securityGroupIngressRule and its sister)."""

    def made(self, account: Account, inputs: Properties) -> str:
        egress = "Egress" in self.token
        rule = {
            "protocol": inputs["ipProtocol"],
            "fromPort": inputs.get("fromPort", -1),
            "toPort": inputs.get("toPort", -1),
            "description": inputs.get("description"),
            "cidrBlocks": [inputs["cidrIpv4"]] if "cidrIpv4" in inputs else [],
            "ipv6CidrBlocks": [inputs["cidrIpv6"]] if "cidrIpv6" in inputs else [],
            "prefixListIds": [inputs["prefixListId"]] if "prefixListId" in inputs else [],
            "securityGroups": [inputs["referencedSecurityGroupId"]] if "referencedSecurityGroupId" in inputs else [],
        }
        verb = f"AuthorizeSecurityGroup{'Egress' if egress else 'Ingress'}"
        tagged = [{"ResourceType": self.kind, "Tags": tag_list(inputs["tags"])}] if inputs.get("tags") else []
        answer: Any = account.call(
            "ec2",
            verb,
            GroupId=inputs["securityGroupId"],
            IpPermissions=[_permission(rule, "")],
            **({"TagSpecifications": tagged} if tagged else {}),
        )
        return str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        possible = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
        targets = [name for name in possible if name in inputs]
        if len(targets) != 1:
            yield Failure(("cidrIpv4",), f"exactly one target is needed, and {', '.join(targets) or 'none'} is given")

    def found(self, account: Account, id_: str) -> Properties | None:
        answer: Any = account.find("ec2", self.read, SecurityGroupRuleIds=[id_])
        items = (answer or {}).get("SecurityGroupRules", [])
        if not items:
            return None
        found = dict(items[0])
        referenced = found.get("ReferencedGroupInfo", {}).get("GroupId")
        found |= {"SecurityGroupId": found["GroupId"], "ReferencedSecurityGroupId": referenced}
        found["Arn"] = f"arn:aws:ec2:{account.region}:{found.get('GroupOwnerId', '')}:{self.kind}/{id_}"
        return {key: value for key, value in found.items() if value is not None}

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        group = inputs["securityGroupId"]
        account.find("ec2", self.delete, GroupId=group, SecurityGroupRuleIds=[id_])


@dataclass(frozen=True)
class VpcEndpoint(Ec2Kind):
    """Its policy, subnets, groups and routes change in place (ModifyVpcEndpoint); deleted in lists."""

    def found(self, account: Account, id_: str) -> Properties | None:
        found = super().found(account, id_)
        if found is not None:
            found["SecurityGroupIds"] = [group["GroupId"] for group in found.get("Groups", [])]
            if isinstance(found.get("PolicyDocument"), Mapping):
                found["PolicyDocument"] = json.dumps(found["PolicyDocument"])
            named = [{"Name": "prefix-list-name", "Values": [found["ServiceName"]]}]
            lists: Any = account.call("ec2", "DescribeManagedPrefixLists", Filters=named)["PrefixLists"]
            if lists:
                found["PrefixListId"] = lists[0]["PrefixListId"]
        return found

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        parameters: Properties = {}
        for name in ("subnetIds", "securityGroupIds", "routeTableIds"):
            before, after, member = set(old.get(name, [])), set(new.get(name, [])), name[0].upper() + name[1:]
            if name in names:
                parameters |= {f"Add{member}": sorted(after - before), f"Remove{member}": sorted(before - after)}
        if "policy" in names:
            parameters["PolicyDocument"] = new["policy"]
        if "privateDnsEnabled" in names:
            parameters["PrivateDnsEnabled"] = new["privateDnsEnabled"]
        account.call("ec2", "ModifyVpcEndpoint", VpcEndpointId=id_, **parameters)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        account.find("ec2", self.delete, VpcEndpointIds=[id_])


@dataclass(frozen=True)
class Association(Ec2Kind):
    """Found in the route table that it belongs to."""

    def found(self, account: Account, id_: str) -> Properties | None:
        filters = [{"Name": "association.route-table-association-id", "Values": [id_]}]
        tables: Any = account.call("ec2", self.read, Filters=filters)["RouteTables"]
        for item in (item for table in tables for item in table["Associations"]):
            if item["RouteTableAssociationId"] == id_:
                return dict(item)
        return None

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        account.find("ec2", self.delete, AssociationId=id_)


def _kind(type_: str, key: str, kind: str, shape: Any = Ec2Kind, **more: Any) -> Ec2Kind:
    module = "vpc" if "Rule" in type_ else "ec2"
    more.setdefault("answered", type_)
    more.setdefault("aside", frozenset({"region", "tags", *more.get("attributes", {})}))
    made: Ec2Kind = shape(
        token=f"aws:{module}/{type_[0].lower()}{type_[1:]}:{type_}",
        create=more.pop("create", f"Create{type_}"),
        read=more.pop("read", f"Describe{type_}s"),
        delete=more.pop("delete", f"Delete{type_}"),
        key=key,
        kind=kind,
        listed=more.pop("listed", f"{type_}s"),
        outputs={
            "arn": "Arn",
            "ownerId": "OwnerId",
            **({"prefixListId": "PrefixListId"} if kind == "vpc-endpoint" else {}),
        },
        **more,
    )
    return made


_DNS = {"enableDnsSupport": "EnableDnsSupport", "enableDnsHostnames": "EnableDnsHostnames"}
_PUBLIC_ADDRESS = {"mapPublicIpOnLaunch": "MapPublicIpOnLaunch"}
_RULE = {"read": "DescribeSecurityGroupRules", "listed": "SecurityGroupRules", "shape": GroupRule,
         "create": "AuthorizeSecurityGroupIngress"}  # fmt: skip
KINDS: list[Kind] = [
    _kind("Vpc", "VpcId", "vpc", attributes=_DNS, changes=dict.fromkeys(_DNS, "")),
    _kind("Subnet", "SubnetId", "subnet", attributes=_PUBLIC_ADDRESS, changes=dict.fromkeys(_PUBLIC_ADDRESS, "")),
    _kind(
        "SecurityGroup",
        "GroupId",
        "security-group",
        SecurityGroup,
        answered="",
        named="name",
        longest=255,
        renames={"name": "GroupName"},
        aside=frozenset({"region", "tags", "ingress", "egress", "revokeRulesOnDelete"}),
        changes=dict.fromkeys(("ingress", "egress", "revokeRulesOnDelete"), ""),
    ),
    _kind(
        "VpcEndpoint",
        "VpcEndpointId",
        "vpc-endpoint",
        VpcEndpoint,
        delete="DeleteVpcEndpoints",
        renames={"policy": "PolicyDocument"},
        aside=frozenset({"region", "tags", "autoAccept"}),
        changes=dict.fromkeys(("subnetIds", "securityGroupIds", "routeTableIds", "policy", "privateDnsEnabled"), ""),
    ),
    _kind("RouteTable", "RouteTableId", "route-table", aside=frozenset({"region", "tags", "routes"})),
    _kind(
        "RouteTableAssociation",
        "AssociationId",
        "",
        Association,
        answered="",
        create="AssociateRouteTable",
        read="DescribeRouteTables",
        delete="DisassociateRouteTable",
    ),
    _kind("SecurityGroupIngressRule", "x", "security-group-rule", delete="RevokeSecurityGroupIngress", **_RULE),
    _kind("SecurityGroupEgressRule", "x", "security-group-rule", delete="RevokeSecurityGroupEgress", **_RULE),
]

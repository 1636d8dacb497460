"""SNS: https://docs.aws.amazon.com/sns/latest/api; names of the wire from pulumi_aws.sns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.lab.aws.iam import policy_problems
from tests.lab.aws.kinds import Account, Kind, tag_list
from tests.lab.cloud import Failure
from tests.lab.wire import Properties

_ATTRIBUTES = {"displayName": "DisplayName", "kmsMasterKeyId": "KmsMasterKeyId", "policy": "Policy"}
_OF_SUBSCRIPTION = {"filterPolicy": "FilterPolicy", "rawMessageDelivery": "RawMessageDelivery"}


@dataclass(frozen=True)
class Topic(Kind):
    """Most settings are attributes: text under a name."""

    def made(self, account: Account, inputs: Properties) -> str:
        attributes = {member: str(inputs[name]) for name, member in _ATTRIBUTES.items() if name in inputs}
        tags = tag_list(inputs.get("tags", {}))
        answer: Any = account.call("sns", "CreateTopic", Name=inputs["name"], Attributes=attributes, Tags=tags)
        return str(answer["TopicArn"])

    def found(self, account: Account, id_: str) -> Properties | None:
        answer: Any = account.find("sns", self.read, TopicArn=id_)
        if answer is None:
            return None
        tags: Any = account.call("sns", "ListTagsForResource", ResourceArn=id_)
        return {**answer["Attributes"], "Name": id_.rpartition(":")[2], "Arn": id_, "Tags": tags["Tags"]}

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("sns", "UntagResource", ResourceArn=id_, TagKeys=drop)
        if put:
            account.call("sns", "TagResource", ResourceArn=id_, Tags=tag_list(put))

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        for name in sorted(names & _ATTRIBUTES.keys()):
            put = {"AttributeName": _ATTRIBUTES[name], "AttributeValue": str(new.get(name, ""))}
            account.call("sns", "SetTopicAttributes", TopicArn=id_, **put)


@dataclass(frozen=True)
class Subscription(Kind):
    """Known by an ARN that the cloud gives."""

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from super().problems(inputs)
        allowed = ("sqs", "sms", "lambda", "firehose", "application", "email", "email-json", "http", "https")
        if inputs["protocol"] not in allowed:
            yield Failure(("protocol",), f"{inputs['protocol']!r} is not one of {', '.join(allowed)}")

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        attributes = {member: str(inputs[name]) for name, member in _OF_SUBSCRIPTION.items() if name in inputs}
        answer: Any = account.call("sns", "Subscribe", **parameters, Attributes=attributes, ReturnSubscriptionArn=True)
        return str(answer["SubscriptionArn"])

    def found(self, account: Account, id_: str) -> Properties | None:
        answer: Any = account.find("sns", self.read, SubscriptionArn=id_)
        return {**answer["Attributes"], "Arn": id_} if answer else None


@dataclass(frozen=True)
class TopicPolicy(Kind):
    """An attribute of a topic that another resource declares; without it the topic's owner may do everything."""

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from policy_problems(inputs, "policy")

    def made(self, account: Account, inputs: Properties) -> str:
        put = {"AttributeName": "Policy", "AttributeValue": inputs["policy"]}
        account.call("sns", self.create, TopicArn=inputs["arn"], **put)
        return str(inputs["arn"])

    def found(self, account: Account, id_: str) -> Properties | None:
        answer: Any = account.find("sns", self.read, TopicArn=id_)
        return {"arn": id_, "policy": answer["Attributes"]["Policy"]} if answer else None

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        self.made(account, new)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        """It goes with its topic."""


KINDS: list[Kind] = [
    Topic(
        token="aws:sns/topic:Topic",
        service="sns",
        create="CreateTopic",
        read="GetTopicAttributes",
        delete="DeleteTopic",
        key="TopicArn",
        longest=256,
        aside=frozenset({"region", *_ATTRIBUTES}),
        changes=dict.fromkeys(_ATTRIBUTES, ""),
        outputs={"arn": "Arn"},
    ),
    Subscription(
        token="aws:sns/topicSubscription:TopicSubscription",
        service="sns",
        create="Subscribe",
        read="GetSubscriptionAttributes",
        delete="Unsubscribe",
        key="SubscriptionArn",
        named="",
        renames={"topic": "TopicArn"},
        aside=frozenset({"region", *_OF_SUBSCRIPTION}),
        outputs={"arn": "Arn"},
    ),
    TopicPolicy(
        token="aws:sns/topicPolicy:TopicPolicy",
        service="sns",
        create="SetTopicAttributes",
        read="GetTopicAttributes",
        delete="",
        key="TopicArn",
        named="",
        changes={"policy": ""},
    ),
]

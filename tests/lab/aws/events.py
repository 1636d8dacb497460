"""EventBridge: https://docs.aws.amazon.com/eventbridge/latest/APIReference; wire names: pulumi_aws.cloudwatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.lab.aws.kinds import Account, Kind, tag_list
from tests.lab.cloud import Failure
from tests.lab.wire import Properties


@dataclass(frozen=True)
class Rule(Kind):
    """Putting it again changes everything but its name."""

    @property
    def in_place(self) -> frozenset[str]:
        return frozenset(self.arguments.types) - {"name", "eventBusName"}

    def found(self, account: Account, id_: str) -> Properties | None:
        answer = super().found(account, id_)
        if answer is not None:
            answer["Tags"] = account.call("events", "ListTagsForResource", ResourceARN=answer["Arn"])["Tags"]
        return answer

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("events", "UntagResource", ResourceARN=arn, TagKeys=drop)
        if put:
            account.call("events", "TagResource", ResourceARN=arn, Tags=tag_list(put))

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        if names:
            self.made(account, {key: value for key, value in new.items() if key != "tags"})


@dataclass(frozen=True)
class Target(Kind):
    """One of a rule's targets; the request takes a list of them."""

    @property
    def in_place(self) -> frozenset[str]:
        return frozenset(self.arguments.types) - {"rule", "eventBusName", "targetId"}

    def translated(self, inputs: Properties, name: str) -> tuple[Properties, list[Failure]]:
        own = {key: item for key, item in inputs.items() if key not in ("rule", "eventBusName", *self.aside)}
        parameters, failures = super().translated({"rule": inputs["rule"], "targets": [own]}, name)
        # of the list that the API wants, nobody wrote anything
        return parameters, [Failure(item.path[2:] or item.path, item.message) for item in failures]

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        account.call("events", self.create, **parameters)
        return f"{inputs['rule']}|{inputs['targetId']}"

    def found(self, account: Account, id_: str) -> Properties | None:
        rule, _, name = id_.partition("|")
        answer: Any = account.find("events", self.read, Rule=rule)
        for target in (answer or {}).get("Targets", []):
            if target["Id"] == name:
                return {**target, "Rule": rule}
        return None

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        self.made(account, new)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        rule, _, name = id_.partition("|")
        account.find("events", self.delete, Rule=rule, Ids=[name])


_OF_TARGET = {
    "targetId": "Id",
    "sagemakerPipelineTarget": "SageMakerPipelineParameters",
    "sagemakerPipelineTarget.pipelineParameterLists": "PipelineParameterList",
}
KINDS: list[Kind] = [
    Rule(
        token="aws:cloudwatch/eventRule:EventRule",
        service="events",
        create="PutRule",
        read="DescribeRule",
        delete="DeleteRule",
        key="Name",
        longest=64,
        aside=frozenset({"region", "forceDestroy"}),
        outputs={"arn": "Arn"},
    ),
    Target(
        token="aws:cloudwatch/eventTarget:EventTarget",
        service="events",
        create="PutTargets",
        read="ListTargetsByRule",
        delete="RemoveTargets",
        key="Rule",
        named="targetId",
        longest=64,
        renames={**_OF_TARGET, **{f"targets.{key}": value for key, value in _OF_TARGET.items()}},
        aside=frozenset({"region", "forceDestroy"}),
    ),
]

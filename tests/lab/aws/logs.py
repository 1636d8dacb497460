"""CloudWatch Logs: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference; pulumi_aws.cloudwatch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.lab.aws.kinds import Account, Kind
from tests.lab.cloud import Failure
from tests.lab.wire import Properties

DAYS = (0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
"""API_PutRetentionPolicy: the days that there are; 0 is the provider's word for ever."""


@dataclass(frozen=True)
class LogGroup(Kind):
    """Its retention is a call of its own."""

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from super().problems(inputs)
        days = inputs.get("retentionInDays", 0)
        if isinstance(days, int) and days not in DAYS:
            yield Failure(("retentionInDays",), f"{days} is not one of {', '.join(map(str, DAYS))}")

    def made(self, account: Account, inputs: Properties) -> str:
        id_ = super().made(account, inputs)
        self._retain(account, id_, inputs)
        return id_

    def _retain(self, account: Account, id_: str, inputs: Properties) -> None:
        if inputs.get("retentionInDays"):
            account.call("logs", "PutRetentionPolicy", logGroupName=id_, retentionInDays=inputs["retentionInDays"])
        else:
            account.find("logs", "DeleteRetentionPolicy", logGroupName=id_)

    def found(self, account: Account, id_: str) -> Properties | None:
        answer: Any = account.call("logs", self.read, logGroupNamePrefix=id_)
        for group in answer["logGroups"]:
            if group["logGroupName"] == id_:
                arn = group["arn"].removesuffix(":*")
                tags = account.call("logs", "ListTagsForResource", resourceArn=arn)["tags"]
                return {**group, "bareArn": arn, "tags": tags}
        return None

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("logs", "UntagResource", resourceArn=arn, tagKeys=drop)
        if put:
            account.call("logs", "TagResource", resourceArn=arn, tags=put)

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        if "retentionInDays" in names:
            self._retain(account, id_, new)
        if "kmsKeyId" in names and "kmsKeyId" in new:
            account.call("logs", "AssociateKmsKey", logGroupName=id_, kmsKeyId=new["kmsKeyId"])
        elif "kmsKeyId" in names:
            account.call("logs", "DisassociateKmsKey", logGroupName=id_)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        if not inputs.get("skipDestroy"):
            super().removed(account, id_, inputs)


@dataclass(frozen=True)
class MetricFilter(Kind):
    """Turns lines of a log group into a metric; putting it again changes it."""

    @property
    def in_place(self) -> frozenset[str]:
        return frozenset({"pattern", "metricTransformation"})

    def translated(self, inputs: Properties, name: str) -> tuple[Properties, list[Failure]]:
        given = inputs.get("metricTransformation")
        listed = inputs | ({"metricTransformation": [given]} if isinstance(given, dict) else {})
        return super().translated(listed, name)

    def made(self, account: Account, inputs: Properties) -> str:
        super().made(account, inputs)
        return f"{inputs['logGroupName']}:{inputs['name']}"

    def found(self, account: Account, id_: str) -> Properties | None:
        group, _, name = id_.rpartition(":")
        answer: Any = account.find("logs", self.read, logGroupName=group, filterNamePrefix=name)
        items = [item for item in (answer or {}).get("metricFilters", []) if item["filterName"] == name]
        return {**items[0], "logGroupName": group} if items else None

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        self.made(account, new)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        group, _, name = id_.rpartition(":")
        account.find("logs", self.delete, logGroupName=group, filterName=name)


KINDS: list[Kind] = [
    LogGroup(
        token="aws:cloudwatch/logGroup:LogGroup",
        service="logs",
        create="CreateLogGroup",
        read="DescribeLogGroups",
        delete="DeleteLogGroup",
        key="logGroupName",
        longest=512,
        renames={"name": "logGroupName"},
        aside=frozenset({"region", "retentionInDays", "skipDestroy"}),
        changes=dict.fromkeys(("retentionInDays", "skipDestroy", "kmsKeyId"), ""),
        outputs={"arn": "bareArn"},
    ),
    MetricFilter(
        token="aws:cloudwatch/logMetricFilter:LogMetricFilter",
        service="logs",
        create="PutMetricFilter",
        read="DescribeMetricFilters",
        delete="DeleteMetricFilter",
        key="filterName",
        longest=512,
        renames={
            "name": "filterName",
            "pattern": "filterPattern",
            "metricTransformation": "metricTransformations",
            "metricTransformation.name": "metricName",
            "metricTransformation.namespace": "metricNamespace",
            "metricTransformation.value": "metricValue",
        },
    ),
]

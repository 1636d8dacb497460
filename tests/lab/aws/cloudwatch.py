"""CloudWatch: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference; wire names: pulumi_aws.cloudwatch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.lab.aws.kinds import Account, Kind, tag_list
from tests.lab.cloud import Failure
from tests.lab.wire import UNKNOWN, Properties


@dataclass(frozen=True)
class Alarm(Kind):
    """Putting it again changes everything but its name."""

    @property
    def in_place(self) -> frozenset[str]:
        return frozenset(self.arguments.types) - {self.named}

    def found(self, account: Account, id_: str) -> Properties | None:
        kinds = ["CompositeAlarm" if "omposite" in self.token else "MetricAlarm"]
        answer: Any = account.call("cloudwatch", "DescribeAlarms", AlarmNames=[id_], AlarmTypes=kinds)
        items = answer.get(f"{kinds[0]}s", [])
        if not items:
            return None
        tags: Any = account.call("cloudwatch", "ListTagsForResource", ResourceARN=items[0]["AlarmArn"])
        return {**items[0], "Tags": tags["Tags"]}

    def tag(self, account: Account, id_: str, arn: str, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            account.call("cloudwatch", "UntagResource", ResourceARN=arn, TagKeys=drop)
        if put:
            account.call("cloudwatch", "TagResource", ResourceARN=arn, Tags=tag_list(put))

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        if names:
            self.made(account, {key: value for key, value in new.items() if key != "tags"})

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        account.find("cloudwatch", self.delete, AlarmNames=[id_])


@dataclass(frozen=True)
class Dashboard(Kind):
    """A JSON document under a name."""

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        yield from super().problems(inputs)
        body = inputs["dashboardBody"]
        if UNKNOWN not in body:
            try:
                json.loads(body)["widgets"]
            except (ValueError, KeyError, TypeError):
                yield Failure(("dashboardBody",), "is no JSON document with widgets")

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        self.made(account, new)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        account.find("cloudwatch", self.delete, DashboardNames=[id_])


KINDS: list[Kind] = [
    Alarm(
        token="aws:cloudwatch/metricAlarm:MetricAlarm",
        service="cloudwatch",
        create="PutMetricAlarm",
        read="DescribeAlarms",
        delete="DeleteAlarms",
        key="AlarmName",
        longest=255,
        renames={
            "name": "AlarmName",
            "metricQueries": "Metrics",
            "metricQueries.metric": "MetricStat",
            "metricQueries.metric.metricName": "Metric.MetricName",
            "metricQueries.metric.namespace": "Metric.Namespace",
            "metricQueries.metric.dimensions": "Metric.Dimensions",
            "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
        },
        outputs={"arn": "AlarmArn"},
    ),
    Alarm(
        token="aws:cloudwatch/compositeAlarm:CompositeAlarm",
        service="cloudwatch",
        create="PutCompositeAlarm",
        read="DescribeAlarms",
        delete="DeleteAlarms",
        key="AlarmName",
        named="alarmName",
        longest=255,
        outputs={"arn": "AlarmArn"},
    ),
    Dashboard(
        token="aws:cloudwatch/dashboard:Dashboard",
        service="cloudwatch",
        create="PutDashboard",
        read="GetDashboard",
        delete="DeleteDashboards",
        key="DashboardName",
        named="dashboardName",
        changes={"dashboardBody": ""},
        outputs={"dashboardArn": "DashboardArn"},
    ),
]

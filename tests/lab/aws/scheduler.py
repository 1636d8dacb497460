"""EventBridge Scheduler: https://docs.aws.amazon.com/scheduler/latest/APIReference; names: pulumi_aws.scheduler."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.aws.kinds import Account, Kind
from tests.lab.wire import Properties

DEFAULT = "default"


@dataclass(frozen=True)
class Schedule(Kind):
    """Known by group and name; an update replaces every setting (UpdateSchedule)."""

    @property
    def in_place(self) -> frozenset[str]:
        return frozenset(self.arguments.types) - {"name", "groupName"}

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        account.call("scheduler", self.create, **parameters)
        return f"{inputs.get('groupName', DEFAULT)}/{inputs['name']}"

    def _asked(self, id_: str) -> Properties:
        group, _, name = id_.partition("/")
        return {"GroupName": group, "Name": name}

    def found(self, account: Account, id_: str) -> Properties | None:
        found: Properties | None = account.find("scheduler", self.read, **self._asked(id_))
        return found

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        parameters, _ = self.translated(new, "UpdateSchedule")
        account.call("scheduler", "UpdateSchedule", **parameters)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        account.find("scheduler", self.delete, **self._asked(id_))


KINDS: list[Kind] = [
    Schedule(
        token="aws:scheduler/schedule:Schedule",
        service="scheduler",
        create="CreateSchedule",
        read="GetSchedule",
        delete="DeleteSchedule",
        key="Name",
        longest=64,
        renames={
            "target.sagemakerPipelineParameters": "SageMakerPipelineParameters",
            "target.sagemakerPipelineParameters.pipelineParameters": "PipelineParameterList",
        },
        outputs={"arn": "Arn"},
    )
]

"""Application Auto Scaling: https://docs.aws.amazon.com/autoscaling/application/APIReference; pulumi_aws.appautoscaling

A target, its policies and its schedules are known by what they scale: namespace, resource and dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.lab.aws.kinds import Account, Kind
from tests.lab.wire import Properties

_SCALED = ("serviceNamespace", "resourceId", "scalableDimension")


@dataclass(frozen=True)
class Scaled(Kind):
    """Put again it is changed; asked for in lists. moto keeps no tags of targets, so these are checked only."""

    listed: str = ""

    @property
    def in_place(self) -> frozenset[str]:
        return frozenset(self.arguments.types) - {*_SCALED, self.named}

    def made(self, account: Account, inputs: Properties) -> str:
        parameters, _ = self.translated(inputs, self.create)
        parameters.pop("Tags", None)
        account.call(self.service, self.create, **parameters)
        # the provider's ids join with slashes, of which a resource id has several
        return "|".join([*(inputs[name] for name in _SCALED), inputs.get(self.named, "")])

    def _asked(self, id_: str) -> Properties:
        namespace, resource, dimension, _ = id_.split("|")
        return {"ServiceNamespace": namespace, "ResourceId": resource, "ScalableDimension": dimension}

    def found(self, account: Account, id_: str) -> Properties | None:
        asked, name = self._asked(id_), id_.split("|")[3]
        if not name:
            asked["ResourceIds"] = [asked.pop("ResourceId")]
        answer: Any = account.call(self.service, self.read, **asked)
        for item in answer[self.listed]:
            if not name or item[self.key] == name:
                return dict(item)
        return None

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        if names:
            self.made(account, new)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        name = id_.split("|")[3]
        account.find(self.service, self.delete, **self._asked(id_), **({self.key: name} if name else {}))


def _kind(type_: str, create: str, read: str, delete: str, listed: str, key: str, **more: Any) -> Scaled:
    return Scaled(
        token=f"aws:appautoscaling/{type_[0].lower()}{type_[1:]}:{type_}",
        service="application-autoscaling",
        create=create,
        read=read,
        delete=delete,
        listed=listed,
        key=key,
        renames={"name": key},
        keeps_tags=False,
        **more,
    )


KINDS: list[Kind] = [
    _kind(
        "Target", "RegisterScalableTarget", "DescribeScalableTargets", "DeregisterScalableTarget", "ScalableTargets",
        "ResourceId", named="", outputs={"arn": "ScalableTargetARN"},
    ),
    _kind(
        "Policy", "PutScalingPolicy", "DescribeScalingPolicies", "DeleteScalingPolicy", "ScalingPolicies",
        "PolicyName", longest=256, outputs={"arn": "PolicyARN"},
    ),
    _kind(
        "ScheduledAction", "PutScheduledAction", "DescribeScheduledActions", "DeleteScheduledAction",
        "ScheduledActions", "ScheduledActionName", longest=256, outputs={"arn": "ScheduledActionARN"},
    ),
]  # fmt: skip

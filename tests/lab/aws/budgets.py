"""Budgets: https://docs.aws.amazon.com/aws-cost-management/latest/APIReference; wire names: pulumi_aws.budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.lab.aws.kinds import Account, Kind
from tests.lab.aws.shapes import Translation, operation
from tests.lab.cloud import Failure
from tests.lab.wire import Properties

_NOTIFICATION = ("comparisonOperator", "notificationType", "threshold", "thresholdType")


@dataclass(frozen=True)
class Budget(Kind):
    """The request nests it, and its notifications beside it with their subscribers, whom moto does not tell."""

    @property
    def in_place(self) -> frozenset[str]:
        return frozenset(self.arguments.types) - {"name", "accountId"}

    def problems(self, inputs: Properties) -> Iterator[Failure]:
        request = operation("budgets", "CreateBudget").input_shape
        budget = Translation(self.renames, self.aside)
        budget.structure(_filtered(inputs), request.members["Budget"])
        yield from budget.failures
        for index, given in enumerate(inputs.get("notifications", [])):
            translation = Translation({}, frozenset({"subscriberEmailAddresses", "subscriberSnsTopicArns"}))
            shape = request.members["NotificationsWithSubscribers"].member.members["Notification"]
            translation.structure(given, shape, ("notifications", index))
            yield from translation.failures
            if not given.get("subscriberEmailAddresses") and not given.get("subscriberSnsTopicArns"):
                yield Failure(("notifications", index), "has no subscriber: an address or a topic is needed")

    def _account(self, account: Account, inputs: Properties) -> str:
        return str(inputs.get("accountId") or account.call("sts", "GetCallerIdentity")["Account"])

    def made(self, account: Account, inputs: Properties) -> str:
        request = operation("budgets", "CreateBudget").input_shape
        budget = Translation(self.renames, self.aside).structure(_filtered(inputs), request.members["Budget"])
        owner = self._account(account, inputs)
        listed = [_told(given) for given in inputs.get("notifications", [])]
        account.call("budgets", "CreateBudget", AccountId=owner, Budget=budget, NotificationsWithSubscribers=listed)
        return f"{owner}:{inputs['name']}"

    def found(self, account: Account, id_: str) -> Properties | None:
        owner, _, name = id_.partition(":")
        answer: Any = account.find("budgets", "DescribeBudget", AccountId=owner, BudgetName=name)
        if answer is None:
            return None
        return {**answer["Budget"], "AccountId": owner}

    def live(self, account: Account, id_: str) -> Properties | None:
        wire = super().live(account, id_)
        if wire is not None:
            owner, _, name = id_.partition(":")
            wire["arn"] = f"arn:aws:budgets::{owner}:budget/{name}"
            filters = (self.found(account, id_) or {}).get("CostFilters") or {}
            wire["costFilters"] = [{"name": name, "values": values} for name, values in filters.items()]
        return wire

    def changed(self, account: Account, id_: str, old: Properties, new: Properties, names: set[str]) -> None:
        self.removed(account, id_, old)  # the lab's emulator has no UpdateBudget
        self.made(account, new)

    def removed(self, account: Account, id_: str, inputs: Properties) -> None:
        owner, _, name = id_.partition(":")
        account.find("budgets", "DeleteBudget", AccountId=owner, BudgetName=name)


def _filtered(inputs: Properties) -> Properties:
    """Filters are a list of names and values on the wire, and a map in the API."""
    given = inputs.get("costFilters")
    if not isinstance(given, list):
        return inputs
    return inputs | {"costFilters": {item["name"]: item["values"] for item in given}}


def _told(given: Properties) -> Properties:
    notification = {key[0].upper() + key[1:]: given[key] for key in _NOTIFICATION if key in given}
    mails = [{"SubscriptionType": "EMAIL", "Address": item} for item in given.get("subscriberEmailAddresses", [])]
    topics = [{"SubscriptionType": "SNS", "Address": item} for item in given.get("subscriberSnsTopicArns", [])]
    return {"Notification": notification, "Subscribers": [*mails, *topics]}


KINDS: list[Kind] = [
    Budget(
        token="aws:budgets/budget:Budget",
        service="budgets",
        create="CreateBudget",
        read="DescribeBudget",
        delete="DeleteBudget",
        key="BudgetName",
        longest=100,
        renames={
            "name": "BudgetName",
            "limitAmount": "BudgetLimit.Amount",
            "limitUnit": "BudgetLimit.Unit",
            "timePeriodStart": "TimePeriod.Start",
            "timePeriodEnd": "TimePeriod.End",
        },
        aside=frozenset({"accountId", "tags", "notifications"}),
        keeps_tags=False,
    )
]

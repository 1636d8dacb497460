"""COST-13: where machine learning costs money, a budget warns before it is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import at, every, is_true, number
from mlinfra.resources import STACK_TYPE, Resource

_BUDGETS: Mapping[str, Sequence[str]] = {
    "aws": ("aws:budgets/budget:Budget",),
    "gcp": ("gcp:billing/budget:Budget",),
    "azure-native": ("azure-native:consumption:Budget", "azure-native:costmanagement:Budget"),
}
BILLABLE: Mapping[str, Sequence[str]] = {
    "aws": tuple(
        f"aws:sagemaker/{name[0].lower()}{name[1:]}:{name}"
        for name in (
            *("Endpoint", "TrainingJob", "HyperParameterTuningJob", "NotebookInstance", "App", "FeatureGroup"),
            *("MlflowTrackingServer", "MonitoringSchedule", "LabelingJob"),
        )
    ),
    "gcp": (
        *(
            f"gcp:vertex/ai{name}:Ai{name}"
            for name in (
                *("DeploymentResourcePool", "PersistentResource", "FeatureOnlineStore", "FeatureStore"),
                *("EndpointWithModelGardenDeployment", "IndexEndpointDeployedIndex", "ReasoningEngine"),
            )
        ),
        "gcp:workbench/instance:Instance",
        "gcp:colab/runtime:Runtime",
        "gcp:colab/notebookExecution:NotebookExecution",
        "google-native:aiplatform/*:CustomJob",
    ),
    "azure-native": tuple(
        f"azure-native:machinelearningservices:{name}"
        for name in ("OnlineDeployment", "Compute", "Job", "ServerlessEndpoint")
    ),
}
"""By provider: what costs money. An endpoint without a deployment and a configuration without an endpoint do not."""


@decides("COST-13", STACK_TYPE)
def budget_exists(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A stack that spends on a provider has a budget there."""
    for provider, billable in BILLABLE.items():
        spent = inspection.of(*billable)
        if spent and not inspection.of(*_BUDGETS[provider]):
            if inspection.complete:
                yield violation("", f"{spent[0].name} costs money, and the stack has no budget with an alert")
            else:
                yield unknown("", "a budget may be among the resources that are not shown")


@decides("COST-13", *_BUDGETS["aws"])
def budget_warns_on_aws(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A budget has a notification at or below 100 percent of it."""
    limit = at(resource.inputs, "limitAmount")
    percents = []
    for notification in every(resource.inputs, "notifications[]"):
        threshold, kind = at(notification, "threshold"), at(notification, "thresholdType")
        percent = None if kind.unknown else number(threshold.value)
        if kind.value == "ABSOLUTE_VALUE" and percent is not None:
            whole = number(limit.value)
            percent = percent / whole * 100 if whole else None
        percents.append(percent)
    yield from _warns("notifications", percents)


@decides("COST-13", *_BUDGETS["gcp"])
def budget_warns_on_google(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A budget has a threshold at or below 1, which is all of it."""
    rules = every(resource.inputs, "thresholdRules[]")
    amounts = [number(at(rule, "thresholdPercent").value) for rule in rules]
    yield from _warns("thresholdRules", [None if amount is None else amount * 100 for amount in amounts])


@decides("COST-13", *_BUDGETS["azure-native"])
def budget_warns_on_azure(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A budget has an enabled notification at or below 100 percent of it."""
    percents = []
    for notification in every(resource.inputs, "notifications{}"):
        switch = at(notification, "enabled")
        if switch.unknown or is_true(switch.value):
            percents.append(None if switch.unknown else number(at(notification, "threshold").value))
    yield from _warns("notifications", percents)


def _warns(path: str, percents: Sequence[float | None]) -> Iterator[Answer]:
    """Yield where none of the thresholds, in percent and None where not known, is at or below 100."""
    known = [percent for percent in percents if percent is not None]
    if any(percent <= 100 for percent in known):
        return
    if None in percents:
        yield unknown(path, "whether an alert comes at or below 100 percent is not known")
    elif known:
        yield violation(path, f"the first alert comes at {min(known):g} percent; at most 100 is wanted")
    else:
        yield violation(path, "no alert is enabled; one at or below 100 percent is wanted")

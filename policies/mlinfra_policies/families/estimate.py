"""COST-10 to COST-12: what a month costs by the price book; what has no price is never counted as nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from weakref import WeakKeyDictionary

from mlinfra.policy.inspection import Inspection, matches
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.prices.book import snapshot
from mlinfra.prices.budget import Standing, standing
from mlinfra.prices.estimate import Dollars, Estimate, Unpriced, estimate
from mlinfra.prices.own import repository_book
from mlinfra.resources import STACK_TYPE, Resource, Resources

_PATHS: Mapping[str, str] = {
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "productionVariants",
    "aws:sagemaker/trainingJob:TrainingJob": "resourceConfig.instanceType",
    "aws:sagemaker/notebookInstance:NotebookInstance": "instanceType",
    "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool": "dedicatedResources.machineSpec",
    "gcp:workbench/instance:Instance": "gceSetup.machineType",
    "azure-native:machinelearningservices:OnlineDeployment": "properties.instanceType",
    "azure-native:machinelearningservices:Compute": "properties.properties.vmSize",
    "kubernetes:serving.kserve.io/v1beta1:InferenceService": "spec.predictor.nodeSelector",
}
"""By type: the input that a price is found by, where it is one."""

_made: WeakKeyDictionary[Inspection, Estimate] = WeakKeyDictionary()
_gaps: WeakKeyDictionary[Inspection, Mapping[str, list[Unpriced]]] = WeakKeyDictionary()


@decides("COST-10", STACK_TYPE)
def month_is_within_the_budget(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The month costs at most the budget, even at the highest load."""
    budget = inspection.settings.budget_monthly_usd
    if budget is None:
        return
    made = _estimate(inspection)
    found, monthly = standing(made, budget), made.monthly or Dollars()
    if found is Standing.OVER:
        yield violation("", f"a month costs {_usd(monthly.likely)}, and the budget is {_usd(budget)}")
    elif found is Standing.MAY_BE_OVER:
        highest = _usd(monthly.high)
        yield unknown("", f"a month costs up to {highest} at the highest load, and the budget is {_usd(budget)}")
    elif gaps := [gap for gap in made.monthly_gaps if _decidable(gap)]:
        yield unknown("", f"within the budget of {_usd(budget)} as far as is known{_missing(gaps)}")
    elif not inspection.complete:
        left_out = "a preview without --show-sames leaves resources out"
        yield unknown("", f"within the budget of {_usd(budget)} as far as is known: {left_out}")


@decides("COST-11", STACK_TYPE)
def growth_is_within_the_threshold(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The month grows by at most the threshold; what is removed is a saving."""
    limit, before = inspection.settings.cost_delta_monthly_usd, inspection.before
    if limit is None:
        return
    if before is None:
        yield unknown("", "what was there before is not known")
        return
    threshold = Decimal(repr(limit))
    made, old = _estimate(inspection), _estimate_of(before, inspection)
    grown = (made.monthly or Dollars()) - (old.monthly or Dollars())
    more = _gaps_of_change(made, inspection.resources, before)
    less = _gaps_of_change(old, inspection.resources, before)
    if grown.likely > threshold and not less:
        yield violation("", f"a month grows by {_usd(grown.likely)}, and the threshold is {_usd(threshold)}")
    elif more or grown.high > threshold:
        highest = f"by up to {_usd(grown.high)} at the highest load"
        yield unknown("", f"a month grows {highest}, as far as is known{_missing([*more, *less])}")


@decides("COST-12", "aws:*", "gcp:*", "azure-native:*", *(each for each in _PATHS if each.startswith("kubernetes:")))
def everything_billable_has_a_price(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """Everything that is paid for is in the price book."""
    for gap in _gaps_by_urn(inspection).get(resource.urn, ()):
        if not (gap.unused or gap.quantity):
            path = next((path for token, path in _PATHS.items() if matches(resource.type, token)), "")
            yield unknown(path, f"{gap.item}: {gap.reason}")


def _estimate(inspection: Inspection) -> Estimate:
    if inspection not in _made:
        _made[inspection] = _estimate_of(inspection.resources, inspection)
    return _made[inspection]


def _gaps_by_urn(inspection: Inspection) -> Mapping[str, list[Unpriced]]:
    if inspection not in _gaps:
        found: dict[str, list[Unpriced]] = {}
        for gap in _estimate(inspection).unpriced:
            found.setdefault(gap.resource.urn, []).append(gap)
        _gaps[inspection] = found
    return _gaps[inspection]


def _estimate_of(resources: Resources, inspection: Inspection) -> Estimate:
    book = repository_book(inspection.root) if inspection.root else snapshot()
    return estimate(resources, book, usage=inspection.usage, commitments=inspection.commitments)


def _gaps_of_change(made: Estimate, after: Resources, before: Resources) -> list[Unpriced]:
    """Return the gaps of resources that change; those of others are the same before and after."""
    now, then = ({resource.urn: resource.inputs for resource in side.all} for side in (after, before))
    return [
        gap for gap in made.monthly_gaps if _decidable(gap) and now.get(gap.resource.urn) != then.get(gap.resource.urn)
    ]


def _decidable(gap: Unpriced) -> bool:
    """Whether a gap can be filled: pods are priced by their nodes, which are no objects of the cluster."""
    return not gap.resource.type.startswith("kubernetes:")


def _missing(gaps: list[Unpriced]) -> str:
    """Return the end of a message: what is missing, and of how much more that is so."""
    if not gaps:
        return ""
    first, *others = gaps
    more = f" and {len(others)} more" if others else ""
    return f": {first.resource.name}: {first.item}: {first.reason}{more}"


def _usd(amount: object) -> str:
    return f"{amount:,.2f} USD"

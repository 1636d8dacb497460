"""COST-10 to COST-12: what a month costs by the price book; what has no price is never counted as nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from weakref import WeakKeyDictionary

from mlinfra.policy.inspection import Inspection, matches
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.prices.book import snapshot
from mlinfra.prices.budget import Standing, growth, standing
from mlinfra.prices.estimate import Estimate, Unpriced, estimate
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
    found = standing(made, budget)
    if found is Standing.OVER and made.monthly is not None:
        yield violation("", f"a month costs {_usd(made.monthly.likely)}, and the budget is {_usd(budget)}")
    elif found is Standing.MAY_BE_OVER and made.monthly is not None:
        highest = _usd(made.monthly.high)
        yield unknown("", f"a month costs up to {highest} at the highest load, and the budget is {_usd(budget)}")
    elif gaps := [gap for gap in made.monthly_gaps if _decidable(gap)]:
        yield unknown("", f"within the budget of {_usd(budget)} as far as is known: {_missing(gaps)}")
    elif not inspection.complete:
        left_out = "a preview without --show-sames leaves resources out"
        yield unknown("", f"within the budget of {_usd(budget)} as far as is known: {left_out}")


@decides("COST-11", STACK_TYPE)
def growth_is_within_the_threshold(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    """The month grows by at most the threshold; what is removed is a saving."""
    threshold, before = inspection.settings.cost_delta_monthly_usd, inspection.before
    if threshold is None:
        return
    if before is None:
        yield unknown("", "what was there before is not known")
        return
    made, old = _estimate(inspection), _estimate_of(before, inspection)
    gaps = _gaps_of_change(inspection.resources, made, before, old)
    grown = growth(old, made)
    if grown is not None and grown.likely > threshold:
        yield violation("", f"a month grows by {_usd(grown.likely)}, and the threshold is {_usd(threshold)}")
    elif gaps:
        yield unknown("", f"by how much a month grows is not known: {_missing(gaps)}")
    elif grown is not None and grown.high > threshold:
        yield unknown("", f"a month grows by up to {_usd(grown.high)} at the highest load")


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


def _gaps_of_change(after: Resources, made: Estimate, before: Resources, old: Estimate) -> list[Unpriced]:
    """Return the gaps of resources that change; those of others are the same before and after."""
    now, then = ({resource.urn: resource.inputs for resource in side.all} for side in (after, before))
    gaps = [*made.monthly_gaps, *old.monthly_gaps]
    return [gap for gap in gaps if _decidable(gap) and now.get(gap.resource.urn) != then.get(gap.resource.urn)]


def _decidable(gap: Unpriced) -> bool:
    """Whether a gap can be filled: pods are priced by their nodes, which are no objects of the cluster."""
    return not gap.resource.type.startswith("kubernetes:")


def _missing(gaps: list[Unpriced]) -> str:
    more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
    return f"{gaps[0].resource.name}: {gaps[0].item}: {gaps[0].reason}{more}"


def _usd(amount: object) -> str:
    return f"{amount:,.2f} USD"

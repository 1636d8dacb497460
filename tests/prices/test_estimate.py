"""What holds of every estimate: bounds in order, totals that are sums, and nothing unknown that counts as 0."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.policy.inspection import Inspection
from mlinfra.prices.book import snapshot
from mlinfra.prices.budget import Standing, growth, standing
from mlinfra.prices.context import Context
from mlinfra.prices.estimate import Dollars, Estimate, estimate, estimate_in
from mlinfra.prices.registry import Quantity, exactly
from mlinfra.prices.usage import Usage
from mlinfra.resources import UNKNOWN, Resource, Resources

Price = Callable[..., Estimate]
Make = Callable[..., Resource]

CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
TARGET = "aws:appautoscaling/target:Target"
NOTEBOOK = "aws:sagemaker/notebookInstance:NotebookInstance"
TRAINING = "aws:sagemaker/trainingJob:TrainingJob"

anything: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", UNKNOWN, "ml.m5.xlarge", "ml.made.up", 0, 1, 3, "2", -1, 1.5, True, [], {}, "moon-north-1"]
)
variants = st.fixed_dictionaries(
    {},
    optional={
        "variantName": st.sampled_from(["a", "b", UNKNOWN]),
        "instanceType": anything,
        "initialInstanceCount": anything,
        "volumeSizeInGb": anything,
        "managedInstanceScaling": st.one_of(
            anything, st.fixed_dictionaries({}, optional={"minInstanceCount": anything, "maxInstanceCount": anything})
        ),
        "serverlessConfig": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {},
                optional={"memorySizeInMb": anything, "maxConcurrency": anything, "provisionedConcurrency": anything},
            ),
        ),
    },
)


def resource(token: str, name: str, inputs: dict[str, Any]) -> Resource:
    return Resource(f"urn:pulumi:dev::example::{token}::{name}", token, name, inputs)


@st.composite
def stacks(draw: st.DrawFn) -> Resources:
    region = draw(st.sampled_from(["us-east-1", "eu-west-1", "moon-north-1", UNKNOWN, "", None, 7]))
    found = [
        resource(CONFIGURATION, "c", {"name": "c", "region": region, "productionVariants": draw(st.lists(variants))}),
        resource(ENDPOINT, "e", {
            "name": "e", "region": region, "endpointConfigName": draw(st.sampled_from(["c", "d", UNKNOWN])),
        }),
        resource(TARGET, "t", {
            "resourceId": draw(st.sampled_from(["endpoint/e/variant/a", UNKNOWN])),
            "scalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "minCapacity": draw(anything), "maxCapacity": draw(anything),
        }),
        resource(NOTEBOOK, "n", {"instanceType": draw(anything), "volumeSize": draw(anything), "region": region}),
        resource(TRAINING, "j", {
            "region": region,
            "resourceConfig": draw(st.one_of(anything, st.fixed_dictionaries({}, optional=dict.fromkeys(
                ["instanceType", "instanceCount", "keepAlivePeriodInSeconds", "volumeSizeInGb"], anything,
            )))),
            "stoppingCondition": draw(st.one_of(anything, st.fixed_dictionaries({"maxRuntimeInSeconds": anything}))),
        }),
        resource("aws:quantum/computer:Computer", "q", {}),
    ]  # fmt: skip
    kept = [item for item in found if draw(st.booleans())]
    return Resources(sorted(kept, key=lambda item: item.urn), draw(st.integers(0, 1)))


loads = st.dictionaries(
    st.sampled_from(["c", "e", "n", "j"]),
    st.builds(
        Usage,
        requests=st.none() | st.floats(0, 1e12),
        request_ms=st.none() | st.floats(0, 1e6),
        data_gb=st.none() | st.floats(0, 1e9),
        replicas=st.none() | st.floats(0, 1e3),
        runs=st.none() | st.floats(0, 1e4),
        hours=st.none() | st.floats(0, 744),
    ),
)


@settings(deadline=None)
@given(stacks(), loads)
def test_bounds_are_in_order_and_totals_are_sums_to_the_cent(resources: Resources, usage: dict[str, Usage]) -> None:
    found = estimate(resources, snapshot(), usage=usage)
    for item in found.items:
        assert 0 <= item.dollars.low <= item.dollars.likely <= item.dollars.high
        assert 0 <= item.idle_dollars <= item.dollars.low
        assert item.price.source
    for total, one_off in ((found.monthly, False), (found.one_off, True)):
        items = [item.dollars for item in found.items if item.one_off is one_off]
        if total is None:
            assert items == [Dollars()] * len(items)
        else:
            assert total == sum(items, Dollars())
            assert total.likely.as_tuple().exponent == -2


@settings(deadline=None)
@given(stacks())
def test_everything_is_an_item_or_unpriced_or_free(resources: Resources) -> None:
    found = estimate(resources, snapshot())
    spoken_of = [item.resource.urn for item in found.items]
    spoken_of += [gap.resource.urn for gap in found.unpriced]
    spoken_of += [free.urn for free, _ in found.free]
    variants = {item.urn: item.inputs.get("productionVariants") for item in resources.all}
    assert {item.urn for item in resources.declared() if variants[item.urn] != []} - set(spoken_of) == set()


@settings(deadline=None)
@given(stacks())
def test_what_is_not_known_is_never_an_item_and_never_counts_as_nothing(resources: Resources) -> None:
    found = estimate(resources, snapshot())
    computer = any(item.name == "q" for item in resources.all)
    assert computer == any(gap.resource.name == "q" for gap in found.unpriced)
    if found.monthly_gaps and not any(item.quantity.high for item in found.items if not item.one_off):
        assert found.monthly is None
        assert found.to_json()["monthly_usd"] is None
    if computer:
        assert standing(found, 1e12) is Standing.UNKNOWN


@settings(deadline=None)
@given(stacks(), loads)
def test_the_same_resources_give_the_same_estimate(resources: Resources, usage: dict[str, Usage]) -> None:
    once = estimate(resources, snapshot(), usage=usage).to_json()
    assert estimate(resources, snapshot(), usage=usage).to_json() == once


def test_a_quantity_is_in_order() -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        Quantity(Decimal(2), Decimal(1), Decimal(3))
    with pytest.raises(ValueError, match="is no quantity"):
        exactly(-1)


def test_only_free_resources_cost_nothing_at_all(make: Make, price: Price) -> None:
    found = price(make("mlinfra:local:Server", {}))
    assert found.monthly == Dollars()
    assert found.to_json()["monthly_usd"] == {"low": 0.0, "likely": 0.0, "high": 0.0}
    assert found.prices_as_of is None


def test_the_date_is_that_of_the_oldest_price_used(make: Make, price: Price) -> None:
    notebook = make(NOTEBOOK, {"instanceType": "ml.t3.medium", "region": "eu-west-1"})
    assert price(notebook).prices_as_of == "2023-12-01"


def test_an_unknown_region_is_named(make: Make, price: Price) -> None:
    [gap, _] = price(make(NOTEBOOK, {"instanceType": "ml.t3.medium", "region": "moon-north-1"})).unpriced
    assert gap.item == "SageMaker notebook-instance ml.t3.medium in moon-north-1"
    assert gap.reason.startswith("no such price; has a price in ")
    [gap, _] = price(make(NOTEBOOK, {"instanceType": "ml.t3.medium", "region": UNKNOWN})).unpriced
    assert gap.reason == "the region is known only after an up (region)"


def test_where_nothing_says_the_region_it_is_assumed_and_labelled(make: Make, price: Price) -> None:
    found = price(make("aws:kms/key:Key", {}), make("aws:ec2/eip:Eip", {}))
    assert {item.assumed for item in found.items} == {"the region, which nothing states: us-east-1"}


def test_the_region_comes_from_the_provider_or_the_settings(make: Make) -> None:
    token = "pulumi:providers:aws"
    provider = make(token, {"region": "eu-west-1"}, "ireland")
    explicit = Resource(
        "urn:pulumi:dev::example::aws:kms/key:Key::k", "aws:kms/key:Key", "k", {}, provider=f"{provider.urn}::id"
    )
    context = Context(Inspection(Resources([explicit, provider], config={"aws:region": "us-west-2"})))
    assert context.region(explicit).name == "eu-west-1"
    plain = make("aws:kms/key:Key", {}, "plain")
    assert context.region(plain).name == "us-west-2"
    assert context.region(make("aws:ebs/volume:Volume", {"availabilityZone": "us-east-2b"})).name == "us-east-2"
    default = make(token, {"region": "ap-south-1"}, "default_7_16_0")
    assert Context(Inspection(Resources([plain, default]))).region(plain).name == "ap-south-1"


def test_a_commitment_is_a_share_of_the_list_price_of_hours(make: Make) -> None:
    notebook = make(NOTEBOOK, {"instanceType": "ml.t3.medium", "region": "us-east-1"})
    found = estimate(Resources([notebook]), snapshot(), commitments={"SageMaker": 0.64})
    assert [item.dollars.likely for item in found.items] == [Decimal("23.36"), Decimal("0.70")]  # 0.05 x 730 x 0.64


def test_what_is_stated_and_asked_for_is_remembered(make: Make) -> None:
    notebook = make(NOTEBOOK, {"instanceType": "ml.t3.medium", "region": "us-east-1"}, "lab")
    context = Context(Inspection(Resources([notebook])), {"lab": Usage.model_validate({"hours": 100, "requests": 5})})
    found = estimate_in(context, snapshot(), {})
    assert context.asked == {("lab", "hours")}
    assert [item.dollars.likely for item in found.items] == [Decimal("5.00"), Decimal("0.70")]


def test_how_an_estimate_stands_to_a_budget(make: Make, price: Price) -> None:
    endpoint = make(ENDPOINT, {"name": "e", "endpointConfigName": "c", "region": "us-east-1"})
    scaling = {"status": "ENABLED", "minInstanceCount": 1, "maxInstanceCount": 2}
    variant = {"variantName": "a", "instanceType": "ml.m5.xlarge", "managedInstanceScaling": scaling}
    configuration = make(CONFIGURATION, {"name": "c", "region": "us-east-1", "productionVariants": [variant]})
    found = price(endpoint, configuration)
    assert standing(found, 167.89) is Standing.OVER
    assert standing(found, 167.9) is Standing.MAY_BE_OVER
    assert standing(found, 335.8) is Standing.WITHIN
    assert standing(price(endpoint, configuration, left_out=1), 335.8) is Standing.UNKNOWN
    assert standing(price(endpoint, configuration, usage={"main": {"replicas": 1.5}}), 200) is Standing.OVER
    both = price(endpoint, configuration, make(NOTEBOOK, {"instanceType": "ml.made.up", "region": "us-east-1"}))
    assert standing(both, 335.8 + 0.7) is Standing.UNKNOWN
    assert standing(both, 100) is Standing.OVER


def test_growth_counts_what_goes_as_a_saving(make: Make, price: Price) -> None:
    big = make(NOTEBOOK, {"instanceType": "ml.m5.4xlarge", "region": "us-east-1"})
    small = make(NOTEBOOK, {"instanceType": "ml.t3.medium", "region": "us-east-1"})
    grown = growth(price(big), price(small))
    assert grown is not None
    assert grown.likely == Decimal("-636.56")  # (0.05 - 0.922) x 730
    assert growth(price(big), price()) == Dollars(*[Decimal("-673.76")] * 3)
    assert growth(price(make(NOTEBOOK, {})), price(make("aws:quantum/computer:Computer", {}))) is None

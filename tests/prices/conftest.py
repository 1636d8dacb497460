from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from mlinfra.prices.book import Price, PriceBook, snapshot
from mlinfra.prices.estimate import Estimate, estimate
from mlinfra.prices.usage import Usage
from mlinfra.resources import Resource, Resources

Estimator = Callable[..., Estimate]


def made(
    token: str, inputs: Mapping[str, Any], name: str = "main", sources: Mapping[str, Sequence[str]] = {}
) -> Resource:
    """Return a resource of one stack; `sources` says by input of which resources' URNs its value comes."""
    urn = f"urn:pulumi:dev::example::{token}::{name}"
    return Resource(urn, token, name, inputs, property_dependencies=sources)


@pytest.fixture
def make() -> Callable[..., Resource]:
    return made


@pytest.fixture
def price() -> Estimator:
    """Return a function that prices resources by the prices that are shipped, with usage by resource name."""

    def estimated(
        *resources: Resource,
        left_out: int = 0,
        own: Sequence[Price] = (),
        usage: Mapping[str, Mapping[str, float]] = {},
    ) -> Estimate:
        book = PriceBook([*snapshot().prices, *own])
        loads = {name: Usage.model_validate(load) for name, load in usage.items()}
        return estimate(Resources(sorted(resources, key=lambda item: item.urn), left_out), book, usage=loads)

    return estimated

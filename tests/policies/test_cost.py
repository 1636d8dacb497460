"""Lengths of time as the providers write them, and what costs money."""

from __future__ import annotations

import pytest

from mlinfra.prices.registry import priced_types
from mlinfra_policies.families.cost.amounts import minutes, seconds
from mlinfra_policies.families.cost.budget import BILLABLE


@pytest.mark.parametrize(
    ("written", "length"),
    [
        (90, 90),
        ("90", 90),
        ("86400s", 86400),
        ("3.5s", 3.5),
        ("PT30M", 1800),
        ("PT1H30M15S", 5415),
        ("P1D", 86400),
        ("P1DT12H", 129600),
        ("p2w", 1209600),
        ("P1M", 2592000),
        ("P1Y", 31536000),
        ("PT0S", 0),
        ("P", None),
        ("PT", None),
        ("P1DT", None),
        ("1h", None),
        ("soon", None),
        (True, None),
        ("", None),
    ],
)
def test_a_length_of_time_is_read_as_providers_write_it(written: object, length: float | None) -> None:
    assert seconds(written) == length


@pytest.mark.parametrize(("written", "length"), [(60, 3600), ("1440", 86400), ("PT1H", None), (None, None)])
def test_minutes_are_read(written: object, length: float | None) -> None:
    assert minutes(written) == length


UNPRICED = {
    "gcp:colab/runtime:Runtime",
    "gcp:colab/notebookExecution:NotebookExecution",
    "gcp:vertex/aiReasoningEngine:AiReasoningEngine",
    "google-native:aiplatform/*:CustomJob",
    "azure-native:machinelearningservices:ServerlessEndpoint",
}
"""What costs money by the page of its prices, and has none here yet."""


@pytest.mark.parametrize("provider", sorted(BILLABLE))
def test_what_asks_for_a_budget_has_a_price(provider: str) -> None:
    priced = {*priced_types(provider.removesuffix("-native")), *UNPRICED}
    assert sorted(set(BILLABLE[provider]) - priced) == []

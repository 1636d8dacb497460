"""A label selector selects labels, does not, or nobody knows yet."""

from __future__ import annotations

from typing import Any

import pytest

from mlinfra.resources import UNKNOWN
from mlinfra_policies.selectors import read


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ({}, {"app": "web"}, True),
        (None, UNKNOWN, True),
        (UNKNOWN, {}, None),
        ({"matchLabels": {"app": "web"}}, {"app": "web", "tier": "a"}, True),
        ({"matchLabels": {"app": "web", "tier": "b"}}, {"app": "web", "tier": "a"}, False),
        ({"matchLabels": {"app": "web"}}, {}, False),
        ({"matchLabels": {"app": "web"}}, UNKNOWN, None),
        ({"matchLabels": {"app": UNKNOWN}}, {"app": "web"}, None),
        ({"matchLabels": {"app": UNKNOWN}}, {"tier": "a"}, False),
        ({"matchLabels": {"app": UNKNOWN, "tier": "b"}}, {"app": "web", "tier": "a"}, False),
        ({"matchLabels": {"app": "web"}}, {"app": UNKNOWN}, None),
        ({"matchLabels": UNKNOWN}, {"app": "web"}, None),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, {"app": "api"}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", UNKNOWN]}]}, {"app": "web"}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": UNKNOWN}]}, {"app": "web"}, None),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, {"app": "web"}, False),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, {}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, {"app": UNKNOWN}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, {"app": "web"}, False),
        ({"matchExpressions": [{"key": ["app"], "operator": "Exists"}]}, {"app": "web"}, False),
        ({"matchExpressions": UNKNOWN}, {"app": "web"}, None),
    ],
)
def test_a_selector_selects_labels(selector: Any, labels: Any, selected: bool | None) -> None:
    assert read(selector).selects(labels) is selected

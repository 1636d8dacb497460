"""The reference stacks pass the profile `production` out of the box, and nothing of them is without a price."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlinfra.operations.check import Given, check_environment
from mlinfra.operations.cost import cost_of_environment
from mlinfra.repository import Repository

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "environments").glob("*.yaml") if "." not in path.stem)


@pytest.mark.parametrize("profile", ["baseline", "production", "regulated"])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_mandatory_rule_is_broken(environment: str, profile: str) -> None:
    checked = check_environment(Repository(ROOT), environment, Given(profile=profile))
    assert checked.inspection.resources.declared()
    assert [finding.to_json() for finding in checked.findings if finding.mandatory] == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_is_without_a_price(environment: str) -> None:
    cost = cost_of_environment(Repository(ROOT), environment, None, None)
    assert [item.to_json() for item in cost.estimate.unpriced] == []
    assert cost.estimate.free

"""The local adapter keeps the contract."""

from __future__ import annotations

import pytest

from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.declarations.part import Part
from mlinfra.problems import Problem
from mlinfra.resources import Resources
from mlinfra.testing import AdapterContract
from mlinfra.testing.judge import Judge, Outcome
from mlinfra.testing.specimens import PLACE, SMALL
from mlinfra.testing.variations import Scene, variations
from mlinfra.yaml_file import read_yaml
from mlinfra_providers.local.adapter import Local


class TestLocal(AdapterContract):
    adapter_name = "local"


def _refusals() -> list[tuple[str, Problem, Part]]:
    judge = Judge(Local())
    found: dict[str, tuple[str, Problem, Part]] = {}
    for variation in variations():
        verdict = judge.verdict(variation)
        if verdict.outcome is Outcome.REFUSED and not variation.field.startswith("Environment."):
            for problem in verdict.problems:
                found.setdefault(str(problem), (variation.field, problem, variation.after.part))
    return list(found.values())


@pytest.mark.parametrize("name", PLACE)
def test_every_place_but_this_machine_is_refused(name: str) -> None:
    value, _ = PLACE[name]
    observed = Judge(Local()).observe(Scene(SMALL[FeatureStore], {name: value}))
    assert not isinstance(observed, Resources)
    (problem,) = observed
    assert problem.path == name
    assert problem.message.startswith("local has no use for this: it ")
    assert problem.remedy == f"remove {name}, or name another target (mlinfra targets)"


@pytest.mark.parametrize(("field", "problem", "part"), _refusals(), ids=lambda value: value if value is str else "")
def test_the_way_out_of_a_refusal_leads_out(field: str, problem: Problem, part: Part) -> None:
    """The override that the refusal proposes is YAML, fits the declaration, and is accepted for this field."""
    written = problem.remedy[problem.remedy.index("override:") :]
    override = read_yaml(written, "remedy").value["override"]
    judge = Judge(Local())
    observed = judge.observe(Scene(part, {"override": override}))
    if not isinstance(observed, Resources):
        assert problem.path not in [other.path for other in observed]
        assert all(other.path.startswith(part.key) for other in observed), observed

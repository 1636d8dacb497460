"""Every example of every shipped rule is judged as it says; and what each rule decides has examples of each verdict."""

from __future__ import annotations

import pytest

from mlinfra.policy.check import check
from mlinfra.policy.rule import Rule
from mlinfra_policies.catalogue import rules
from mlinfra_policies.examples import Example, examples

EVERY = [(rule, example) for rule in rules() for example in examples(rule.id)]
NEVER = {
    ("COST-12", "violation"): "the rule has no violation verdict",
    ("GOV-05", "unknown"): "a type is always known",
}
"""Verdicts that a rule cannot give, by rule and verdict, or by rule, target and verdict; with the reason."""


@pytest.mark.parametrize(("rule", "example"), EVERY, ids=[str(example) for _, example in EVERY])
def test_an_example_is_judged_as_it_says(rule: Rule, example: Example) -> None:
    inspection = example.inspection()
    urn = example.judged(inspection).urn
    found = [finding for finding in check(inspection, [rule]) if finding.resource.urn == urn]
    verdicts = [finding.answer.verdict.value for finding in found] or ["ok"]
    assert verdicts == [example.verdict], [finding.answer for finding in found]
    if example.path is not None:
        assert [finding.answer.path for finding in found] == [example.path]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.id))
def test_a_rule_has_examples_of_each_verdict_on_each_target(rule: Rule) -> None:
    targets = {name for name, target in rule.targets.items() if target.get("decidable")}
    undecidable = rule.targets and not targets
    assert rule.decisions or undecidable, f"{rule.id} is in the catalogue, and nothing decides it"
    shown = {(example.target, example.verdict) for example in examples(rule.id)}
    wanted = {
        (target, verdict)
        for target in targets
        for verdict in ("violation", "ok", "unknown")
        if not {(rule.id, verdict), (rule.id, target, verdict)} & set(NEVER)
    }
    assert sorted(wanted - shown) == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.id))
def test_the_worst_example_of_a_rule_says_where_it_is_and_what_was_found(rule: Rule) -> None:
    for example in examples(rule.id):
        for finding in check(example.inspection(), [rule]):
            assert finding.answer.message
            assert not finding.answer.message.endswith(".")
            assert "Error" not in finding.answer.message, finding.answer

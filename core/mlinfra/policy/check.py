"""Judging resources by rules: at most one verdict for each rule and resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from typing import Any

from mlinfra.policy.inspection import Inspection, matches
from mlinfra.policy.rule import Answer, Decision, Level, Rule, Severity, Verdict, unknown
from mlinfra.resources import STACK_TYPE, Resource

_WORST_FIRST = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True)
class Finding:
    """A rule that a resource breaks, or of which nobody can say yet whether it does."""

    rule: Rule
    resource: Resource
    part: str | None
    answer: Answer

    @property
    def mandatory(self) -> bool:
        """Whether it stops an `up`."""
        return self.answer.verdict is Verdict.VIOLATION and self.rule.level is Level.MANDATORY

    @property
    def remedy(self) -> str:
        """What mends it."""
        return self.answer.remedy or self.rule.remedy

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `check --json`, version 1."""
        return {
            "rule": self.rule.id,
            "resource": self.resource.urn,
            "verdict": self.answer.verdict.value,
            "severity": self.rule.severity.value,
            "level": self.rule.level.value,
            "message": self.answer.message,
            "path": self.answer.path,
            "remedy": self.remedy,
        }


def check(inspection: Inspection, rules: Iterable[Rule]) -> list[Finding]:
    """Return what the rules find, the worst first.

    A rule that fails on a resource has not judged it: that is an unknown, never silence. A rule is off where a setting
    that it names is null.
    """
    off = inspection.settings.switches_off
    known = {rule.id: rule for rule in rules if not any(map(off, rule.parameters))}
    decisions = [decision for rule in known.values() for decision in rule.decisions]
    by_type: dict[str, list[Decision]] = {}
    found: list[Finding] = []
    resources = inspection.resources
    for resource in [*(each for each in resources.all if each.type != STACK_TYPE), inspection.stack]:
        if resource.type not in by_type:
            by_type[resource.type] = [each for each in decisions if _is_for(each, resource.type)]
        answers: dict[str, Answer] = {}
        for decision in by_type[resource.type]:
            for answer in _judged(decision, resource, inspection):
                before = answers.get(decision.rule)
                if before is None or (before.verdict, answer.verdict) == (Verdict.UNKNOWN, Verdict.VIOLATION):
                    answers[decision.rule] = answer
        part = resources.part_of(resource)
        found += [Finding(known[id_], resource, part, answer) for id_, answer in answers.items()]
    return sorted(found, key=_order)


def counted(findings: Sequence[Finding]) -> Mapping[str, int]:
    """Return how many findings are mandatory violations, other violations, and unknown."""
    violations = [finding for finding in findings if finding.answer.verdict is Verdict.VIOLATION]
    mandatory = sum(finding.mandatory for finding in violations)
    return {
        "mandatory": mandatory,
        "advisory": len(violations) - mandatory,
        "unknown": len(findings) - len(violations),
    }


def _is_for(decision: Decision, token: str) -> bool:
    if token == STACK_TYPE:
        return STACK_TYPE in decision.types
    return any(matches(token, pattern) for pattern in decision.types)


def _judged(decision: Decision, resource: Resource, inspection: Inspection) -> list[Answer]:
    try:
        return list(decision.judge(resource, inspection))
    except Exception as error:  # noqa: BLE001 - a rule may be anybody's, an input anything
        said = f"{type(error).__name__}: {error}"[:160]
        return [unknown("", f"could not be judged: {_place(error, decision)}{said}")]


def _place(error: Exception, decision: Decision) -> str:
    """Return the file and line of a rule's own code where it failed."""
    own = getattr(getattr(decision.judge, "__code__", None), "co_filename", None)
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == own]
    return f"{Path(own).name}:{lines[-1]}: " if own and lines else ""


def _order(finding: Finding) -> tuple[Any, ...]:
    rule, answer = finding.rule, finding.answer
    return (
        not finding.mandatory,
        answer.verdict is Verdict.UNKNOWN,
        _WORST_FIRST[rule.severity],
        rule.id,
        finding.resource.urn,
    )

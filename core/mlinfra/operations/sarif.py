"""A check as SARIF 2.1.0, the format that code scanning reads. Written by hand: what is needed of it is small."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from mlinfra.operations.check import Checked
from mlinfra.policy.check import Finding
from mlinfra.policy.exceptions import PolicyException
from mlinfra.policy.rule import Level, Rule, Severity, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_SCORES: Mapping[Severity, str] = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
}
"""How code scanning sorts: from 9, 7 and 4 on it calls something critical, high and medium."""


def sarif(checked: Checked) -> dict[str, Any]:
    """Return one run: a result for each finding, and a suppressed one for each that an exception covers.

    An unknown has the kind `open` (not enough is known to decide). Code scanning wants a file: that of the environment
    stands for it, and `Pulumi.yaml` for another program; the resource and its input are the logical location.
    """
    file = f"environments/{checked.environment}.yaml" if checked.environment else "Pulumi.yaml"
    covered = [(finding, item.exception) for item in checked.covered for finding in item.findings]
    rules = _rules(checked.rules, [*checked.findings, *(finding for finding, _ in covered)])
    index = {rule.id: number for number, rule in enumerate(rules)}
    results = [_result(finding, index, file) for finding in checked.findings]
    results += [{**_result(finding, index, file), "suppressions": [_suppressed(by)]} for finding, by in covered]
    driver = {
        "name": "mlinfra",
        "semanticVersion": version("mlinfra-toolkit"),
        "rules": [_described(rule) for rule in rules],
    }
    stack = checked.environment or checked.inspection.stack_name
    run = {"tool": {"driver": driver}, "automationDetails": {"id": f"mlinfra/{stack}/"}, "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rules(rules: Iterable[Rule], findings: Iterable[Finding]) -> list[Rule]:
    """Return the rules of the check, and those of exceptions where they have found something."""
    return list({rule.id: rule for rule in [*rules, *(finding.rule for finding in findings)]}.values())


def _described(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.violation or rule.title},
        "help": {"text": rule.remedy or rule.title},
        "defaultConfiguration": {"level": "error" if rule.level is Level.MANDATORY else "warning"},
        "properties": {"tags": [rule.family, *rule.frameworks], "security-severity": _SCORES[rule.severity]},
    }


def _result(finding: Finding, index: Mapping[str, int], file: str) -> dict[str, Any]:
    answer = finding.answer
    decided = answer.verdict is Verdict.VIOLATION
    where = f"{answer.path}: " if answer.path else ""
    name = f"{finding.resource.urn}#{answer.path}" if answer.path else finding.resource.urn
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": index[finding.rule.id],
        "kind": "fail" if decided else "open",
        "level": ("error" if finding.mandatory else "warning") if decided else "none",
        "message": {"text": f"{finding.resource.name}: {where}{answer.message}\n→ {finding.remedy}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 1}},
                "logicalLocations": [{"name": finding.resource.name, "fullyQualifiedName": name, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"ruleAndResource/v1": _fingerprint(finding)},
    }


def _fingerprint(finding: Finding) -> str:
    return hashlib.sha256(f"{finding.rule.id}|{finding.resource.urn}".encode()).hexdigest()


def _suppressed(by: PolicyException) -> dict[str, Any]:
    return {"kind": "external", "status": "accepted", "justification": f"{by.reason} ({by.owner}, until {by.until})"}

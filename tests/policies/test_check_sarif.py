"""SARIF as the standard's own schema has it, and as code scanning reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mlinfra.operations.check import Checked
from mlinfra.operations.sarif import sarif
from mlinfra.policy.check import Finding
from mlinfra.policy.exceptions import EXPIRED, Covered, PolicyException
from mlinfra.policy.inspection import Inspection
from mlinfra.policy.profiles import profile_for
from mlinfra.policy.rule import Answer, Level, Rule, Severity, unknown, violation
from mlinfra.resources import Resource, Resources
from mlinfra_policies.catalogue import rules

SCHEMA = json.loads((Path(__file__).parent / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
POD = Resource("urn:pulumi:prod::shop::k:Pod::trainer", "k:Pod", "trainer", {})


def rule(id_: str, level: Level = Level.ADVISORY) -> Rule:
    return Rule(id_, f"Title of {id_}", Severity.CRITICAL, level, "privileged: false", "pod-hardening")


def found(made: Rule, answer: Answer) -> Finding:
    return Finding(made, POD, None, answer)


def written(*findings: Finding, covered: tuple[Covered, ...] = (), environment: str | None = "prod") -> Any:
    """Return the only run, of a log that keeps to the schema."""
    judged = [rule("POD-01", Level.MANDATORY), rule("POD-02")]
    inspection = Inspection(Resources([POD]))
    log = sarif(Checked(environment, inspection, profile_for("prod"), judged, findings, covered))
    jsonschema.Draft7Validator(SCHEMA).validate(json.loads(json.dumps(log)))
    return log["runs"][0]


def test_the_schema_refuses_what_is_no_sarif() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate({"version": "2.1.0", "runs": [{"tool": {}}]})


def test_a_result_for_each_finding() -> None:
    run = written(
        found(rule("POD-01", Level.MANDATORY), violation("spec.privileged", "is true")),
        found(rule("POD-02"), violation("", "is there")),
        found(rule("POD-02"), unknown("spec.hostPID")),
    )
    assert [(item["ruleId"], item["kind"], item["level"]) for item in run["results"]] == [
        ("POD-01", "fail", "error"),
        ("POD-02", "fail", "warning"),
        ("POD-02", "open", "none"),
    ]
    described = run["tool"]["driver"]["rules"]
    assert [described[item["ruleIndex"]]["id"] for item in run["results"]] == ["POD-01", "POD-02", "POD-02"]
    assert run["results"][0]["message"]["text"] == "trainer: spec.privileged: is true\n→ privileged: false"
    [place] = run["results"][0]["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "environments/prod.yaml"
    assert place["logicalLocations"][0]["fullyQualifiedName"] == f"{POD.urn}#spec.privileged"


def test_a_finding_keeps_its_fingerprint_when_its_words_change() -> None:
    one, two, other = written(
        found(rule("POD-02"), violation("spec.hostPID", "is true")),
        found(rule("POD-02"), violation("spec.hostIPC", "is yes")),
        found(rule("POD-01"), violation("spec.hostPID", "is true")),
    )["results"]
    assert one["partialFingerprints"] == two["partialFingerprints"] != other["partialFingerprints"]


def test_what_is_covered_is_suppressed_with_its_reason() -> None:
    agreed = PolicyException.model_validate(
        {"rule": "POD-02", "resource": "trainer", "reason": "driver", "owner": "me", "until": "2999-01-01"}
    )
    run = written(covered=(Covered(agreed, [found(rule("POD-02"), violation("", "is there"))]),), environment=None)
    [result] = run["results"]
    assert result["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "driver (me, until 2999-01-01)"}
    ]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "Pulumi.yaml"


def test_exceptions_that_are_over_have_a_rule_of_their_own() -> None:
    run = written(found(EXPIRED, violation("policies.exceptions[0].until", "expired")))
    assert run["tool"]["driver"]["rules"][run["results"][0]["ruleIndex"]]["id"] == "EXC-01"


def test_every_shipped_rule_can_be_described() -> None:
    log = sarif(Checked("prod", Inspection(Resources([])), profile_for("prod"), rules(), [], []))
    jsonschema.Draft7Validator(SCHEMA).validate(json.loads(json.dumps(log)))
    described = log["runs"][0]["tool"]["driver"]["rules"]
    assert len(described) == len(rules())
    scores = {float(item["properties"]["security-severity"]) for item in described}
    assert all(0 < score <= 10 for score in scores)

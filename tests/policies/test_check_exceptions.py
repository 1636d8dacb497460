"""How strict an environment is: profiles, exceptions, and what is said of wrong ones."""

from __future__ import annotations

from datetime import date

import pytest

from mlinfra.environment import parse_environment
from mlinfra.policy.check import Finding
from mlinfra.policy.exceptions import Covered, PolicyException, set_apart
from mlinfra.policy.profiles import profile_for, profiles
from mlinfra.policy.rule import Answer, Level, Rule, Severity, Verdict
from mlinfra.problems import WrongUse
from mlinfra.resources import Resource
from mlinfra.yaml_file import read_yaml
from mlinfra_policies.catalogue import rules

TODAY = date(2026, 11, 22)


def made(rule: str = "POD-01", name: str = "trainer", part: str | None = None, severity: str = "low") -> Finding:
    resource = Resource(f"urn:pulumi:dev::shop::k:Pod::{name}", "k:Pod", name, {})
    judged = Rule(rule, "No privilege", Severity(severity), Level.ADVISORY, "remove it")
    return Finding(judged, resource, part, Answer(Verdict.VIOLATION, "spec", "is privileged"))


def exception(until: date = TODAY, **more: str) -> PolicyException:
    return PolicyException.model_validate(
        {"rule": "POD-01", "reason": "old driver", "owner": "ml@example.com", "until": until} | more
    )


def apart(
    findings: list[Finding], *exceptions: PolicyException, complete: bool = True
) -> tuple[list[Finding], list[Covered]]:
    return set_apart(
        findings, exceptions, today=TODAY, complete=complete, where=lambda index: f"environments/dev.yaml:{index + 5}"
    )


@pytest.mark.parametrize("name", ["trainer", "urn:pulumi:dev::shop::k:Pod::trainer"])
def test_an_exception_covers_a_resource_by_name_and_by_urn(name: str) -> None:
    other = made(name="server")
    left, covered = apart([made(), other], exception(resource=name))
    assert left == [other]
    assert [finding.resource.name for finding in covered[0].findings] == ["trainer"]


@pytest.mark.parametrize("part", ["endpoints.fraud", "fraud"])
def test_an_exception_covers_a_part_by_key_and_by_name(part: str) -> None:
    findings = [made(part="endpoints.fraud"), made(part=None), made(part="endpoints.other"), made("POD-02", part=part)]
    left, _ = apart(findings, exception(part=part))
    assert left == findings[1:]


def test_two_exceptions_for_the_same_both_match() -> None:
    left, covered = apart([made()], exception(resource="trainer"), exception(resource="trainer"))
    assert left == []
    assert len(covered) == 2


def test_an_expired_exception_covers_nothing_and_is_reported() -> None:
    over = exception(date(2026, 11, 21), resource="trainer")
    left, covered = apart([made(severity="high")], over, over)
    assert covered == []
    assert [(item.rule.id, item.resource.urn) for item in left] == [
        ("POD-01", "urn:pulumi:dev::shop::k:Pod::trainer"),
        ("EXC-01", "policies.exceptions[0]"),
        ("EXC-01", "policies.exceptions[1]"),
    ]
    assert left[1].answer.path == "policies.exceptions[0].until"
    assert left[1].answer.message == (
        "environments/dev.yaml:5: expired on 2026-11-21: POD-01 for trainer (ml@example.com: old driver)"
    )


def test_an_exception_that_matches_nothing_is_reported() -> None:
    left, _ = apart([made()], exception(resource="server"), exception(part="trainer"))
    assert [(item.rule.id, item.answer.path, item.answer.verdict) for item in left[1:]] == [
        ("EXC-02", "policies.exceptions[0].resource", Verdict.VIOLATION),
        ("EXC-02", "policies.exceptions[1].part", Verdict.VIOLATION),
    ]
    assert not any(item.mandatory for item in left)


def test_whether_an_exception_matches_is_unknown_where_resources_are_left_out() -> None:
    left, _ = apart([], exception(resource="server"), complete=False)
    assert [item.answer.verdict for item in left] == [Verdict.UNKNOWN]
    assert "among the resources that are shown" in left[0].answer.message


def test_in_production_every_critical_and_high_rule_is_mandatory() -> None:
    catalogue = {rule.id: rule for rule in rules()}
    for rule in profile_for("prod").applied(rules()):
        severe = rule.severity in (Severity.CRITICAL, Severity.HIGH)
        assert rule.level is (Level.MANDATORY if severe else catalogue[rule.id].level)
    assert profile_for("dev").applied(rules()) == rules()


def test_in_regulated_environments_only_low_rules_outside_of_auditing_and_governance_are_advisory() -> None:
    for rule in profiles()["regulated"].applied(rules()):
        mild = rule.severity is Severity.LOW and rule.family not in ("audit", "governance")
        assert rule.level is (Level.ADVISORY if mild else Level.MANDATORY)


def test_the_families_of_profiles_are_families_of_rules() -> None:
    for profile in profiles().values():
        assert profile.families <= {rule.family for rule in rules()}


@pytest.mark.parametrize(
    ("stack", "profile"),
    [("prod", "production"), ("acme/shop/Live", "production"), ("dev", "baseline"), ("production-2", "baseline")],
)
def test_the_profile_of_a_stack(stack: str, profile: str) -> None:
    assert profile_for(stack).name == profile
    assert profile_for(stack, "regulated").name == "regulated"


def test_no_such_profile() -> None:
    with pytest.raises(WrongUse, match=r"no profile 'producton' \(did you mean 'production'"):
        profile_for("dev", "producton")


def test_what_is_wrong_in_an_environment_is_said_with_its_line() -> None:
    text = """\
target: local
stacks: [a]
policies:
  profile: strict
  settings: {max_replicas: -1, max_replica: 3}
  exceptions:
    - {rule: COST-09, part: fraud, reason: " ", owner: a, until: 2027-01-31}
    - {rule: COST-09, reason: a, owner: a, until: 2027-01-31}
    - {rule: COST-09, part: fraud, reason: a, owner: a, until: 2027}
    - rule: COST-09
      part: fraud
      resource: fraud
      owner: a
      till: 2027-01-31
"""
    _, problems = parse_environment(read_yaml(text, "environments/dev.yaml"), "dev")
    found = "\n".join(map(str, problems))
    for said in (
        ":4: policies.profile: there is no profile 'strict'; there are: baseline, production, regulated",
        ":5: policies.settings.max_replicas: is not valid (found -1, expected greater than or equal to 0)",
        ":5: policies.settings.max_replica: is no field here (expected allowed_instance_types, ",
        ":7: policies.exceptions.0.reason: is not valid (found ' ', ",
        ":8: policies.exceptions.1: is for a part or for a resource: name one of them",
        ":9: policies.exceptions.2.until: is no day: 2027-01-31",
        ":10: policies.exceptions.3.reason: is missing",
        ":14: policies.exceptions.3.till: is no field here (expected owner, part, reason, resource, rule, until",
    ):
        assert said in found

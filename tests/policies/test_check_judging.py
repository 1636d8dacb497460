"""What every rule stands on: values at paths, finding other resources, and one verdict for a rule and a resource."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mlinfra.policy import Answer, Inspection, at, every, rule, unknown, violation
from mlinfra.policy.check import check
from mlinfra.policy.rule import Decision, Level, Rule, Severity, Verdict
from mlinfra.policy.settings import Settings
from mlinfra.policy.values import number
from mlinfra.resources import STACK_TYPE, UNKNOWN, Resource, Resources
from mlinfra.testing.policy import resource

INPUTS = {
    "list": [{"a": 1}, {"a": UNKNOWN}, {}],
    "open": UNKNOWN,
    "env": {"__defaults": [], "A": "1", "b.c": "2"},
    "text": "",
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("list[].a", [("list[0].a", 1), ("list[1].a", UNKNOWN), ("list[2].a", None)]),
        ("open.a.b", [("open", UNKNOWN)]),
        ("open[].a", [("open", UNKNOWN)]),
        ("env{}", [("env.A", "1"), ("env['b.c']", "2")]),
        ("env['b.c']", [("env['b.c']", "2")]),
        ("text.a", [("text.a", None)]),
        ("none[].a", []),
        ("none.a", [("none.a", None)]),
    ],
)
def test_values_at_paths(path: str, found: list[tuple[str, Any]]) -> None:
    assert [(value.path, value.value) for value in every(INPUTS, path)] == found


def test_absent_empty_false_and_unknown_differ() -> None:
    assert at(INPUTS, "text").absent
    assert at(INPUTS, "nothing").absent
    assert not at({"a": False}, "a").absent
    assert not at({"a": []}, "a").absent
    assert at(INPUTS, "open").unknown
    assert not at(INPUTS, "open").absent


@pytest.mark.parametrize(
    ("written", "read"),
    [(2, 2), ("1.5", 1.5), (True, None), ("", None), ([], None), ("nan", None), ("inf", float("inf")), (10**400, None)],
)
def test_numbers_may_be_texts(written: Any, read: float | None) -> None:
    assert number(written) == read


def test_resources_are_found_by_type_and_by_name() -> None:
    inspection = Inspection(
        Resources(
            [
                resource("acme:a:Key", "one", {"name": "k", "list": ["x"]}),
                resource("acme:a:Key", "two", {"name": "k"}),
                resource("acme:a:Lock", "three", {"name": "k"}),
                resource("acme:a:Key", "four", {"name": UNKNOWN}),
            ]
        )
    )
    for _ in range(2):  # what is found once is kept
        assert [item.name for item in inspection.of("acme:a:Key")] == ["one", "two", "four"]
        assert len(inspection.of("acme:*")) == 4
        assert [item.name for item in inspection.named("k", "name", "acme:a:Key")] == ["one", "two"]
        assert [item.name for item in inspection.named("k", "name", "acme:*")] == ["one", "two", "three"]
        assert inspection.named(UNKNOWN, "name", "acme:*") == []
        assert inspection.named(["x"], "list", "acme:*") == []
        inspection.of("acme:a:Key").clear()
        inspection.named("k", "name", "acme:a:Key").clear()


def test_a_token_of_azure_is_meant_with_any_version_unless_one_is_named() -> None:
    made = resource("azure-native:machinelearningservices/v20241001:Workspace")
    inspection = Inspection(Resources([made]))
    assert inspection.of("azure-native:machinelearningservices:Workspace") == [made]
    assert inspection.of("azure-native:machinelearningservices/v20241001:Workspace") == [made]
    assert inspection.of("azure-native:machinelearningservices/v20230401:Workspace") == []


@rule("ACME-1", "acme:*", STACK_TYPE, title="t", remedy="of the rule")
def judge(made: Resource, inspection: Inspection) -> Iterator[Answer]:
    if made.type == STACK_TYPE:
        yield violation("", f"{len(inspection.resources.all)} resources")
    elif made.name == "both":
        yield unknown("a")
        yield violation("b", "first", remedy="of the answer")
        yield violation("c", "second")
    elif made.name == "open":
        yield unknown("a")
        yield unknown("b")
    elif made.name == "bad":
        raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, ["ACME-2"]),
        ({"max_replicas": None}, []),
        ({"allowed_regions": None, "max_run_hours": None, "tag_aliases": None}, ["ACME-2"]),
    ],
)
def test_a_setting_that_is_null_switches_its_rules_off(settings: dict[str, Any], found: list[str]) -> None:
    one = Rule("ACME-2", "t", Severity.LOW, Level.ADVISORY, "r", parameters=("max_replicas", "allowed_regions"))
    one = replace(one, decisions=(Decision("ACME-2", ("acme:*",), lambda _, __: [violation("a", "b")]),))
    inspection = Inspection(Resources([resource("acme:a:Key")]), Settings.model_validate(settings))
    assert [item.rule.id for item in check(inspection, [one])] == found
    assert inspection.settings.tag_aliases == ({} if "tag_aliases" in settings else Settings().tag_aliases)


def test_there_is_one_verdict_for_a_rule_and_a_resource_and_the_worst_counts() -> None:
    resources = [resource("acme:a:Key", name) for name in ("bad", "both", "fine", "open")]
    found = check(Inspection(Resources(resources)), [judge.rule])  # type: ignore[attr-defined]
    assert [(item.resource.name, item.answer.verdict, item.answer.path, item.remedy) for item in found] == [
        ("both", Verdict.VIOLATION, "b", "of the answer"),
        ("example-dev", Verdict.VIOLATION, "", "of the rule"),
        ("bad", Verdict.UNKNOWN, "", "of the rule"),
        ("open", Verdict.UNKNOWN, "a", "of the rule"),
    ]
    assert found[2].answer.message.startswith("could not be judged: test_check_judging.py:")
    assert found[2].answer.message.endswith(": RuntimeError: broken")
    assert found[1].answer.message == "4 resources"

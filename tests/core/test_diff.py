"""The offline difference: what an `up` would do, property by property."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.diff import Change, PropertyChange, ResourceChange, difference
from mlinfra.resources import PART_TYPE, STACK_TYPE, UNKNOWN, Resource, Resources

ROOT = f"urn:pulumi:dev::mlinfra::{STACK_TYPE}::mlinfra-dev"


def component(name: str = "weather", *, aliases: tuple[str, ...] = ()) -> Resource:
    kind = f"{PART_TYPE}feature_stores"
    return Resource(f"urn:pulumi:dev::mlinfra::{kind}::{name}", kind, name, {}, ROOT, custom=False, aliases=aliases)


def resource(name: str = "weather", inputs: dict[str, Any] | None = None, **fields: Any) -> Resource:
    kind = f"{PART_TYPE}feature_stores$x:y:View"
    parent = component(name).urn
    return Resource(f"urn:pulumi:dev::mlinfra::{kind}::{name}", "x:y:View", name, inputs or {}, parent, **fields)


def compare(declared: list[Resource], state: list[Resource], replaced: frozenset[str] | None = frozenset()) -> Any:
    return difference(Resources(declared), Resources(state), lambda _: replaced)


def one(before: dict[str, Any], after: dict[str, Any], replaced: frozenset[str] | None = frozenset()) -> ResourceChange:
    (found,) = compare([component(), resource(inputs=after)], [component(), resource(inputs=before)], replaced)
    return found  # type: ignore[no-any-return]


def test_create_and_delete() -> None:
    created, deleted = compare([component("a"), resource("a")], [component("b"), resource("b")])
    assert (created.change, created.part, created.destroys_data) == (Change.CREATE, "feature_stores.a", False)
    assert (deleted.change, deleted.part, deleted.destroys_data) == (Change.DELETE, "feature_stores.b", False)


def test_same_update_replace_may_replace() -> None:
    assert one({"a": 1}, {"a": 1}).change is Change.SAME
    assert one({"a": 1}, {"a": 2}).change is Change.UPDATE
    assert one({"a": 1, "b": 1}, {"a": 2, "b": 1}, frozenset({"b"})).change is Change.UPDATE
    assert one({"a": {"b": [1]}}, {"a": {"b": [2]}}, frozenset({"a"})).change is Change.REPLACE
    assert one({"a": 1}, {"a": 2}, None).change is Change.MAY_REPLACE
    assert one({"a": 1}, {"a": 1}, None).change is Change.SAME


@pytest.mark.parametrize(("replaced", "gone"), [(frozenset(), False), (frozenset({"a"}), True), (None, True)])
def test_replacing_what_is_protected_destroys_data(replaced: frozenset[str] | None, gone: bool) -> None:
    before, after = resource(inputs={"a": 1}, protect=True), resource(inputs={"a": 2}, protect=True)
    assert compare([component(), after], [component(), before], replaced)[0].destroys_data is gone
    unprotected = resource(inputs={"a": 1})
    assert compare([component(), after], [component(), unprotected], replaced)[0].destroys_data is False


def test_removing_what_is_protected_destroys_data() -> None:
    (found,) = compare([], [component(), resource(protect=True)])
    assert (found.change, found.destroys_data, found.part) == (Change.DELETE, True, "feature_stores.weather")


def test_properties_by_path() -> None:
    before = {"same": 1, "gone": 1, "deep": {"a": {"b": 1}, "list": [1, 2]}}
    after = {"same": 1, "new": 1, "deep": {"a": {"b": 2}, "list": [1, 3]}}
    assert one(before, after).properties == [
        PropertyChange("deep.a.b", 1, 2),
        PropertyChange("deep.list", [1, 2], [1, 3]),
        PropertyChange("gone", 1, None),
        PropertyChange("new", None, 1),
    ]
    shown = one({"a": 1}, {"a": 2}).to_json()
    assert shown["change"] == "update"
    assert shown["properties"] == [{"path": "a", "before": 1, "after": 2}]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (1, True, False), (0, False, False), (True, True, True), (1, 1.0, True), (None, None, True), ("1", 1, False),
        ([1], [1, 2], False), ([True], [1], False), ({"a": 1}, {"a": 1, "b": None}, True),
        ([{"a": 1}], [{"a": 2}], False),
        (5, UNKNOWN, True), ([5], [UNKNOWN], True), ({"a": 5}, {"a": UNKNOWN}, True), ({}, {"a": UNKNOWN}, False),
        (None, UNKNOWN, True),
    ],
)  # fmt: skip
def test_what_is_the_same(old: Any, new: Any, same: bool) -> None:
    assert (one({"value": old}, {"value": new}).change is Change.SAME) is same


def test_a_renamed_part_keeps_its_resources() -> None:
    declared = [component("new", aliases=("old",)), resource("new", {"a": 1}, aliases=("old",), protect=True)]
    (found,) = compare(declared, [component("old"), resource("old", {"a": 1}, protect=True)])
    assert (found.change, found.part, found.destroys_data) == (Change.SAME, "feature_stores.new", False)


def test_a_former_name_of_another_type_is_not_taken() -> None:
    state = resource("old")
    other = Resource(state.urn.replace("View", "Table"), "x:y:Table", "old", {}, state.parent)
    found = compare([component("new"), resource("new", aliases=("old",))], [component("old"), other])
    assert [item.change for item in found] == [Change.CREATE, Change.DELETE]


@pytest.mark.parametrize(
    ("ignored", "paths"),
    [(("*",), []), (("a",), ["b.c"]), (("b",), ["a"]), (("b.c",), ["a"]), (("b.d",), ["a", "b.c"]), ((), ["a", "b.c"])],
)
def test_ignored_changes_are_none(ignored: tuple[str, ...], paths: list[str]) -> None:
    before = resource(inputs={"a": 1, "b": {"c": 1}})
    after = resource(inputs={"a": 2, "b": {"c": 2}}, ignore_changes=ignored)
    (found,) = compare([component(), after], [component(), before])
    assert [item.path for item in found.properties] == paths


def test_what_an_up_leaves_as_it_is_is_no_change() -> None:
    declared, state = Resources([resource(inputs={"a": 1, "b": 1})]), Resources([resource(inputs={"a": 2, "b": 1})])
    assert difference(declared, state, lambda _: frozenset(), lambda _: frozenset({"a"}))[0].change is Change.SAME


def test_what_the_provider_chose_was_declared_by_nobody() -> None:
    """A name that it made up, and the defaults in a nested object: the state has them among the inputs."""
    inputs = {"__defaults": ["name"], "name": "a-7f9c", "rule": {"__defaults": ["kind"], "kind": "x", "port": 1}}
    view = resource()
    engine = {"urn": view.urn, "type": view.type, "custom": True, "parent": view.parent, "inputs": inputs}
    state = list(Resources.from_state({"deployment": {"resources": [engine]}}).all)
    declarations: dict[str, dict[str, Any]] = {
        "as before": {"rule": {"port": 1}},
        "the same name": {"name": "a-7f9c", "rule": {"port": 1}},
        "another name": {"name": "a", "rule": {"port": 2}},
    }
    paths = {
        name: [item.path for item in compare([resource(inputs=declared)], state)[0].properties]
        for name, declared in declarations.items()
    }
    assert paths == {"as before": [], "the same name": [], "another name": ["name", "rule.port"]}


def test_raw_resources_come_last_and_the_stack_is_none() -> None:
    stack = Resource(ROOT, STACK_TYPE, "mlinfra-dev", {}, custom=False)
    provider = Resource(
        "urn:pulumi:dev::mlinfra::pulumi:providers:x::default", "pulumi:providers:x", "default", {}, ROOT
    )
    raw = Resource("urn:pulumi:dev::mlinfra::a:b:C::raw", "a:b:C", "raw", {}, ROOT)
    found = compare([stack, provider, raw, component(), resource()], [])
    assert [(item.part, item.resource.name) for item in found] == [("feature_stores.weather", "weather"), (None, "raw")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
INPUTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)
ALL = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.tuples(INPUTS, st.booleans()), max_size=3)


def _resources(found: dict[str, tuple[dict[str, Any], bool]]) -> list[Resource]:
    return [
        made
        for name, (inputs, protect) in found.items()
        for made in (component(name), resource(name, inputs, protect=protect))
    ]


@settings(deadline=None)
@given(ALL, st.sampled_from([None, frozenset[str](), frozenset({"a"})]))
def test_nothing_differs_from_itself(found: dict[str, Any], replaced: frozenset[str] | None) -> None:
    changes = compare(_resources(found), _resources(found), replaced)
    assert {change.change for change in changes} <= {Change.SAME}
    assert len(changes) == len(found)
    assert not any(change.destroys_data for change in changes)


@settings(deadline=None)
@given(ALL, ALL)
def test_every_resource_has_one_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    changes = compare(_resources(after), _resources(before))
    by_name = {change.resource.name: change.change for change in changes}
    assert len(changes) == len(by_name)
    assert set(by_name) == {*before, *after}
    assert {name for name, change in by_name.items() if change is Change.CREATE} == set(after) - set(before)
    assert {name for name, change in by_name.items() if change is Change.DELETE} == set(before) - set(after)


@settings(deadline=None)
@given(INPUTS, INPUTS)
def test_there_and_back_is_the_same_paths(before: dict[str, Any], after: dict[str, Any]) -> None:
    there, back = one(before, after), one(after, before)
    assert {item.path for item in there.properties} == {item.path for item in back.properties}

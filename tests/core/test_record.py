"""record(): what a program registers, without an engine, as a preview shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi.runtime import settings

from mlinfra.record import record
from mlinfra.resources import PART_TYPE, STACK_TYPE, UNKNOWN, Resource, Resources, hide_secrets


class Component(pulumi.ComponentResource):
    def __init__(self, name: str, former: str | None = None) -> None:
        aliases = [pulumi.Alias(name=former)] if former else None
        super().__init__(f"{PART_TYPE}endpoints", name, None, pulumi.ResourceOptions(aliases=aliases))


class Thing(pulumi.CustomResource):
    address: pulumi.Output[str]

    def __init__(self, name: str, inputs: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__("x:y:Thing", name, {**(inputs or {}), "address": None}, pulumi.ResourceOptions(**options))


def recorded(program: Callable[[], object]) -> dict[str, Resource]:
    found = record(program, project="mlinfra", stack="dev")
    return {resource.name: resource for resource in found.all}


def test_inputs_keep_their_types() -> None:
    inputs = {"whole": 3, "half": 0.5, "true": True, "none": None, "list": [1, "a"], "map": {"b": 1, "a": [False]}}
    found = recorded(lambda: Thing("thing", inputs))["thing"].inputs
    assert found == {"whole": 3, "half": 0.5, "true": True, "list": [1, "a"], "map": {"b": 1, "a": [False]}}
    assert type(found["whole"]) is int
    assert found["true"] is True
    assert list(found) == sorted(found)


def test_numbers_beyond_exactness_stay_what_the_wire_has() -> None:
    found = recorded(lambda: Thing("thing", {"big": 1e300, "exact": 2**53 - 1}))["thing"].inputs
    assert (type(found["big"]), found["big"], found["exact"]) == (float, 1e300, 2**53 - 1)


def test_urns_and_parents_are_those_of_the_engine() -> None:
    def program() -> None:
        Thing("inner", parent=Thing("thing", parent=Component("api")))

    found = recorded(program)
    chain = f"{PART_TYPE}endpoints"
    assert found["mlinfra-dev"].urn == f"urn:pulumi:dev::mlinfra::{STACK_TYPE}::mlinfra-dev"
    assert found["api"].urn == f"urn:pulumi:dev::mlinfra::{chain}::api"
    assert found["thing"].urn == f"urn:pulumi:dev::mlinfra::{chain}$x:y:Thing::thing"
    assert found["inner"].urn == f"urn:pulumi:dev::mlinfra::{chain}$x:y:Thing$x:y:Thing::inner"
    assert found["inner"].parent == found["thing"].urn
    assert found["api"].parent == found["mlinfra-dev"].urn


def test_resources_are_sorted_and_know_their_part() -> None:
    def program() -> None:
        Thing("b", parent=Component("api"))
        Thing("inner", parent=Thing("deep", parent=Component("other")))
        Thing("a")

    found = record(program, project="mlinfra", stack="dev")
    assert [resource.urn for resource in found.all] == sorted(resource.urn for resource in found.all)
    parts = {resource.name: found.part_of(resource) for resource in found.declared()}
    assert parts == {"a": None, "b": "endpoints.api", "deep": "endpoints.other", "inner": "endpoints.other"}


def test_dependencies_by_option_and_by_value() -> None:
    def program() -> None:
        one, two = Thing("one"), Thing("two")
        Thing("three", {"id": two.id}, depends_on=[one])

    found = recorded(program)
    assert found["three"].dependencies == sorted([found["one"].urn, found["two"].urn])


def test_options_are_kept() -> None:
    found = recorded(lambda: Thing("thing", protect=True, ignore_changes=["*"]))["thing"]
    assert (found.protect, found.ignore_changes, found.custom) == (True, ("*",), True)


def test_outputs_are_unknown_also_inside_of_values() -> None:
    def program() -> None:
        one = Thing("one")
        text = pulumi.Output.concat("http://", one.address)
        Thing("two", {"id": one.id, "deep": {"list": [one.address, "known"]}, "text": text})

    assert recorded(program)["two"].inputs == {"id": UNKNOWN, "deep": {"list": [UNKNOWN, "known"]}, "text": UNKNOWN}


def test_secrets_are_hidden_and_assets_are_not() -> None:
    def program() -> None:
        secret = pulumi.Output.secret("s3cr3t")
        Thing("thing", {"one": secret, "deep": {"list": [secret]}, "asset": pulumi.StringAsset("content")})

    found = recorded(program)["thing"].inputs
    assert found["one"] == "[secret]"
    assert found["deep"] == {"list": ["[secret]"]}
    assert found["asset"]["text"] == "content"
    assert "s3cr3t" not in str(found)


def test_former_names_reach_the_children_as_in_the_engine() -> None:
    def program() -> None:
        api = Component("api", "old")
        Thing("inner", parent=Thing("api-server", parent=api))
        Thing("other", parent=api)
        Thing("own", parent=api, aliases=[pulumi.Alias(name="before")])

    found = recorded(program)
    assert {name: found[name].aliases for name in ("api", "api-server", "inner", "other", "own")} == {
        "api": ("old",), "api-server": ("old-server",), "inner": (), "other": (), "own": ("before",),
    }  # fmt: skip


def test_what_the_program_raises_comes_through_and_leaves_nothing() -> None:
    before = (settings.get_project(), settings.get_stack(), settings.get_monitor())

    def program() -> None:
        Thing("thing")
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        recorded(program)
    assert (settings.get_project(), settings.get_stack(), settings.get_monitor()) == before
    assert set(recorded(lambda: Thing("other"))) == {"mlinfra-dev", "other"}


def test_the_same_program_is_recorded_the_same() -> None:
    def program() -> None:
        for name in ("c", "a", "b"):
            Thing(name, {"value": name}, parent=Component(f"part-{name}"))

    first, second = (record(program, project="mlinfra", stack="dev") for _ in range(2))
    assert first == second


def test_a_state_gives_the_same_shape() -> None:
    signature = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "x"}
    urn = f"urn:pulumi:dev::mlinfra::{PART_TYPE}endpoints$x:y:Thing::a::b"
    inputs = {"a": 1, "__defaults": [], "password": signature}
    item = {
        "urn": urn,
        "type": "x:y:Thing",
        "custom": True,
        "inputs": inputs,
        "protect": True,
        "dependencies": ["z", "y"],
    }
    gone = {**item, "urn": "urn:pulumi:dev::mlinfra::x:y:Thing::gone", "delete": True}
    for state in ({"deployment": {"resources": [item, gone]}}, {"checkpoint": {"latest": {"resources": [item]}}}):
        (found,) = Resources.from_state(state).all
        assert found.name == "a::b"
        assert found.inputs == {"a": 1, "password": "[secret]"}
        assert (found.protect, found.dependencies) == (True, ["y", "z"])
        assert Resources.from_state(state).part_of(found) == "endpoints.a::b"
    assert Resources.from_state({"deployment": {}}).all == []


def test_hide_secrets_changes_nothing_else() -> None:
    value = {"a": [1, {"b": None}], "c": "x"}
    assert hide_secrets(value) == value

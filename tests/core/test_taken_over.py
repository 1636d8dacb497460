"""What a killed run was creating goes into the state where its id is known, and is forgotten where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlinfra.taken_over import taken_over

BEFORE = {"urn": "u::before", "type": "cloud:Net", "custom": True, "id": "/net"}
MADE = {
    "urn": "u::made",
    "type": "cloud:Host",
    "custom": True,
    "inputs": {"name": "one"},
    "dependencies": ["u::before"],
}


def id_of(type_token: str, inputs: Mapping[str, Any]) -> str | None:
    return f"/host/{inputs['name']}" if type_token == "cloud:Host" else None


def state(*resources: Mapping[str, Any], pending: Mapping[str, Any] = MADE, kind: str = "creating") -> dict[str, Any]:
    operations = [{"type": kind, "resource": pending}]
    return {"version": 3, "deployment": {"resources": list(resources), "pending_operations": operations}}


def test_what_has_a_known_id_is_put_after_what_it_depends_on() -> None:
    changed, taken = taken_over(state(BEFORE), id_of)
    assert changed == {"version": 3, "deployment": {"resources": [BEFORE, {**MADE, "id": "/host/one"}]}}
    assert taken == ["u::made"]


def test_the_file_of_a_state_is_read_too() -> None:
    latest = state(BEFORE)["deployment"]
    changed, _ = taken_over({"version": 3, "checkpoint": {"stack": "prod", "latest": latest}}, id_of)
    assert [item["id"] for item in changed["deployment"]["resources"]] == ["/net", "/host/one"]


def test_what_it_was_to_replace_is_deleted_later() -> None:
    old = {**MADE, "id": "/host/old", "inputs": {"name": "old"}}
    changed, _ = taken_over(state(BEFORE, old), id_of)
    assert changed["deployment"]["resources"] == [BEFORE, {**MADE, "id": "/host/one"}, {**old, "delete": True}]


def test_what_was_deleted_to_be_made_anew_is_the_new_one() -> None:
    old = {**MADE, "id": "/host/one", "pendingReplacement": True}
    changed, _ = taken_over(state(BEFORE, old), id_of)
    assert changed["deployment"]["resources"] == [BEFORE, {**MADE, "id": "/host/one"}]


def test_what_has_no_known_id_is_forgotten_and_updates_are_left_to_the_refresh() -> None:
    foreign = {**MADE, "type": "cloud:Other"}
    for interrupted in (state(BEFORE, pending=foreign), state(BEFORE, kind="updating"), {}):
        assert taken_over(interrupted, id_of)[1] == []

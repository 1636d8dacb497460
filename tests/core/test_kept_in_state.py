"""After a shift the state is brought in line with what a shift changes, and with nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mlinfra.operations.rollout import keep_in_state

STACK = "urn:pulumi:prod::mlinfra::"
PARENT = f"{STACK}mlinfra:part:endpoints::api"
SPLIT = f"{STACK}mlinfra:part:endpoints$mlinfra:x:Traffic::api"
ADDRESS = f"{STACK}mlinfra:part:endpoints$x:address:Address::api"


def _state() -> dict[str, Any]:
    made = [
        {"urn": PARENT, "type": "mlinfra:part:endpoints", "custom": False},
        {"urn": SPLIT, "type": "mlinfra:x:Traffic", "custom": True, "parent": PARENT},
        {"urn": ADDRESS, "type": "x:address:Address", "custom": True, "parent": PARENT},
    ]
    return {"deployment": {"resources": made}}


@pytest.mark.parametrize(
    ("kept", "expected"),
    [({"mlinfra:x:Traffic": frozenset({"weights"})}, [SPLIT]), ({}, [SPLIT, ADDRESS])],
    ids=["the split alone", "all of the part, where no type says"],
)
def test_only_what_a_shift_changes_is_recorded(kept: dict[str, frozenset[str]], expected: list[str]) -> None:
    refreshed: list[list[str]] = []
    stack = SimpleNamespace(export=_state, refresh=lambda watch, targets: refreshed.append(list(targets)))
    adapter = SimpleNamespace(kept_by=lambda type_: kept.get(type_, frozenset()))
    standing = SimpleNamespace(part=SimpleNamespace(key="endpoints.api"), shifts=["one"])
    session, progress = SimpleNamespace(adapter=adapter), SimpleNamespace(step=None)
    keep_in_state(cast(Any, session), cast(Any, stack), cast(Any, progress), cast(Any, [standing]))
    assert [sorted(item) for item in refreshed] == [sorted(expected)]

"""What every resource of the plugin owes to states that earlier versions of mlinfra wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mlinfra_providers.handler import Handler
from mlinfra_providers.plugin import handler_class

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
EARLIER: list[dict[str, Any]] = json.loads((HERE / "earlier_state.json").read_text())
"""What the reference stacks had registered of the plugin's types when their resources were first in a state: type, name
and inputs. Resources are added; none is changed or taken away while a state of that version may be in use."""


class Split(Handler):
    """One that keeps its weights."""

    kept: ClassVar[frozenset[str]] = frozenset({"weights", "generation"})


@pytest.mark.parametrize(
    ("generation", "changed"), [(3, frozenset()), (2, frozenset()), (4, frozenset({"weights", "generation"}))]
)
def test_what_is_kept_changes_with_a_newer_generation_alone(generation: int, changed: frozenset[str]) -> None:
    there = {"weights": {"v2": 100}, "generation": 3}
    assert Split(HERE).differs(there, {"weights": {"v1": 100}, "generation": generation}) == changed


def test_what_a_state_of_an_earlier_version_has_is_still_there() -> None:
    for token in sorted({item["type"] for item in EARLIER}):
        assert handler_class(token)(HERE).differs({}, {}) == frozenset(), token


@pytest.mark.parametrize("item", EARLIER, ids=lambda item: f"{item['type']} {item['name']}")
def test_a_newer_version_changes_nothing_of_an_earlier_one(item: Mapping[str, Any]) -> None:
    """A property more would be an update of every user's resources, and one more that is immutable a replacement."""
    [now] = [
        found["inputs"]
        for found in json.loads((GOLDEN / item["golden"]).read_text())
        if (found["type"], found["name"]) == (item["type"], item["name"])
    ]
    handler = handler_class(item["type"])(HERE)
    assert handler.differs(item["inputs"], now) == frozenset(), "let a state without the new property be as declared"

"""The shipped rules: what the catalogue says of each, with the functions that decide it."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import Any

from mlinfra.policy.rule import Decision, Level, Rule, Severity
from mlinfra_policies import families


@cache
def rules() -> tuple[Rule, ...]:
    """Return the shipped rules in the catalogue's order."""
    decisions: dict[str, list[Decision]] = {}
    for module in _modules(families):
        for function in vars(module).values():
            if getattr(function, "__module__", None) == module.__name__:
                for decision in getattr(function, "decisions", ()):
                    decisions.setdefault(decision.rule, []).append(decision)
    made = tuple(_rule(entry, tuple(decisions.pop(entry["id"], ()))) for entry in entries())
    assert not decisions, f"decided, and not in the catalogue: {sorted(decisions)}"
    return made


@cache
def entries() -> tuple[Mapping[str, Any], ...]:
    """Return what the catalogue says of each rule."""
    read = json.loads(files("mlinfra_policies").joinpath("catalogue.json").read_text(encoding="utf-8"))
    return (*read["rules"], *read["proposed_rules"])


def _rule(entry: Mapping[str, Any], decisions: tuple[Decision, ...]) -> Rule:
    return Rule(
        id=entry["id"],
        title=entry["title"],
        severity=Severity(entry["severity"]),
        level=Level(entry["level"]),
        remedy=entry["remedy"],
        family=entry["category"],
        violation=entry["violation"],
        ok=entry.get("ok", ""),
        unknown=entry.get("unknown", ""),
        scope=entry.get("scope", "all environments"),
        parameters=tuple(entry.get("parameters", ())),
        targets=entry.get("targets", {}),
        frameworks=tuple(entry.get("frameworks", ())),
        equivalents=entry.get("equivalents", {}),
        decisions=decisions,
    )


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)

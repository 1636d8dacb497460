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
    """Return the shipped rules in the catalogue's order; a function is imported when it has something to judge."""
    decisions: dict[str, list[Decision]] = {}
    for rule, function, *types in _read("decisions.json"):
        decisions.setdefault(rule, []).append(Decision(rule, tuple(types), f"{families.__name__}.{function}"))
    return tuple(_rule(entry, tuple(decisions.get(entry["id"], ()))) for entry in entries())


def decisions() -> str:
    """Return what `decisions.json` must hold: each rule, the function that decides it, and on which types."""
    found = [
        [decision.rule, f"{module.__name__.removeprefix(families.__name__)[1:]}:{name}", *decision.types]
        for module in _modules(families)
        for name, function in vars(module).items()
        if getattr(function, "__module__", None) == module.__name__
        for decision in getattr(function, "decisions", ())
    ]
    unknown = sorted({rule for rule, *_ in found} - {entry["id"] for entry in entries()})
    assert not unknown, f"decided, and not in the catalogue: {unknown}"
    return "[\n" + ",\n".join(json.dumps(item) for item in found) + "\n]\n"


@cache
def entries() -> tuple[Mapping[str, Any], ...]:
    """Return what the catalogue says of each rule."""
    read = _read("catalogue.json")
    return (*read["rules"], *read["proposed_rules"])


def _read(name: str) -> Any:
    return json.loads(files("mlinfra_policies").joinpath(name).read_text(encoding="utf-8"))


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

"""rules: which policy rules there are, and which can be decided on a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlinfra.policy.rule import Rule
from mlinfra.policy.ruleset import ruleset
from mlinfra.problems import WrongUse, nearest


@dataclass(frozen=True)
class Listed:
    """Rules; of a target those that can be decided there, and apart from them the others."""

    target: str | None
    rules: Sequence[Rule]
    undecidable: Sequence[Rule] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `rules --json`, version 1."""
        return {"version": 1, "target": self.target, "rules": [_to_json(rule) for rule in self.rules]}

    def reason(self, rule: Rule) -> str:
        """Return why a rule cannot be decided on the target."""
        return str(rule.targets.get(self.target or "", {}).get("reason", ""))


def list_rules(root: Path, target: str | None = None) -> Listed:
    """Return all rules; `root` is the folder that may hold a team's own.

    Raises:
        Problems: all problems of a team's own files.
        WrongUse: no rule says anything of the target.
    """
    rules = ruleset(root)
    if target is None:
        return Listed(None, rules)
    known = sorted({name for rule in rules for name in rule.targets})
    if target not in known:
        near = nearest(target, known)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise WrongUse(f"no rule says anything of a target {target!r}{hint}; there are: {', '.join(known)}")
    undecidable = [rule for rule in rules if not rule.targets.get(target, {}).get("decidable", not rule.targets)]
    return Listed(target, [rule for rule in rules if rule not in undecidable], undecidable)


def _to_json(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "family": rule.family,
        "severity": rule.severity.value,
        "level": rule.level.value,
        "scope": rule.scope,
        "targets": [name for name, said in rule.targets.items() if said.get("decidable")],
        "types": sorted({type_ for decision in rule.decisions for type_ in decision.types}),
        "settings": list(rule.parameters),
        "remedy": rule.remedy,
        "frameworks": list(rule.frameworks),
        "equivalents": {tool: list(names) for tool, names in rule.equivalents.items()},
    }

"""Profiles: how strict an environment is. They are data: `profiles.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from mlinfra.policy.inspection import PRODUCTION
from mlinfra.policy.rule import Level, Rule, Severity
from mlinfra.problems import WrongUse, nearest


@dataclass(frozen=True)
class Profile:
    """What is mandatory beside the rules that are of their own: by severity, and by family."""

    name: str
    description: str
    severities: frozenset[Severity]
    families: frozenset[str]

    def applied(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        """Return the rules with the levels of this profile."""
        return tuple(replace(rule, level=Level.MANDATORY) if self._demands(rule) else rule for rule in rules)

    def _demands(self, rule: Rule) -> bool:
        return rule.severity in self.severities or rule.family in self.families


@cache
def profiles() -> Mapping[str, Profile]:
    """Return the profiles by name, the mildest first."""
    read = tomllib.loads(files("mlinfra.policy").joinpath("profiles.toml").read_text(encoding="utf-8"))
    return {
        name: Profile(
            name,
            said["description"],
            frozenset(Severity(severity) for severity in said.get("severities", ())),
            frozenset(said.get("families", ())),
        )
        for name, said in read.items()
    }


def known_profile(name: str) -> str:
    """Return the name of a profile.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in profiles():
        near = nearest(name, profiles())
        hint = f" (did you mean {near!r}?)" if near else ""
        raise ValueError(f"there is no profile {name!r}{hint}; there are: {', '.join(profiles())}")
    return name


def profile_for(stack: str, name: str | None = None) -> Profile:
    """Return the profile of a name; without one, that of a Pulumi stack: production if it is called so, else baseline.

    Raises:
        WrongUse: there is no profile of this name.
    """
    if name is None:
        name = "production" if stack.rpartition("/")[2].lower() in PRODUCTION else "baseline"
    try:
        return profiles()[known_profile(name)]
    except ValueError as error:
        raise WrongUse(str(error)) from None

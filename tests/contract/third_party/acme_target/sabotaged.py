"""The same target with one thing broken each: every one must fail the contract, for that thing."""

from __future__ import annotations

from typing import Any

from mlinfra.declarations.part import Part
from mlinfra.problems import Problem

from . import Acme


class Forgetful(Acme):
    """Forgets how long a feature is true."""

    name = "acme-forgetful"

    def fields(self, part: Part) -> dict[str, Any]:
        """Return the fields but one."""
        return {key: value for key, value in super().fields(part).items() if key != "ttl"}


class Careless(Acme):
    """Protects nothing."""

    name = "acme-careless"

    def protects(self, part: Part) -> bool:
        """Return that nothing holds data."""
        return False


class Curt(Acme):
    """Refuses without a way out."""

    name = "acme-curt"

    def refusal(self, part: Part, field: str, reason: str, instead: str) -> Problem:
        """Return a refusal that leaves its reader alone."""
        return Problem("", 0, f"{part.key}.{field}", reason)


class Shuffled(Acme):
    """Puts things in the order of a set."""

    name = "acme-shuffled"

    def fields(self, part: Part) -> dict[str, Any]:
        """Return the fields with all lists in any order."""
        fields = super().fields(part)
        return {**fields, "kept": list({*fields, *(f"{key}-again" for key in fields)})}


class Cutting(Acme):
    """Cuts long names off."""

    name = "acme-cutting"

    def label(self, part: Part) -> str:
        """Return a name that two parts may have."""
        return super().label(part)[:32]

"""plan: what an `up` would do, offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlinfra.diff import Change, ResourceChange, difference
from mlinfra.operations.session import Session
from mlinfra.program import record_program
from mlinfra.repository import Repository
from mlinfra.resources import Resources
from mlinfra.state import PROJECT, read_state


@dataclass(frozen=True)
class Plan:
    """The resources that are declared, and what changes against the last `up`."""

    session: Session
    resources: Resources
    changes: Sequence[ResourceChange]

    @property
    def changed(self) -> bool:
        """Whether an `up` would touch anything."""
        return any(change.change is not Change.SAME for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `plan --json`, version 1."""
        # sorted by part: those that are gone come after those that are declared, raw resources last
        parts: dict[str | None, list[Any]] = {part.key: [] for part in self.session.resolved.parts}
        for change in self.changes:
            parts.setdefault(change.part, []).append(change.to_json())
        return {
            "version": 1,
            "environment": self.session.environment.name,
            "target": self.session.environment.target,
            "resources": [resource.to_json() for resource in self.resources.all],
            "parts": [{"part": key, "changes": changes} for key, changes in parts.items()],
            "problems": [],
        }


def plan(repository: Repository, name: str) -> Plan:
    """Return the offline plan of an environment: no engine, no network, no credentials for a local state.

    Raises:
        Problems: all problems of all files, and all refusals of the target.
    """
    return plan_of(Session.open(repository, name))


def plan_of(session: Session) -> Plan:
    """Return the offline plan of an open session."""
    resources = record_program(session.repository.root, session.resolved, session.adapter, project=PROJECT)
    state = read_state(session.repository, session.environment, session.known_stack)
    return Plan(session, resources, difference(resources, state, session.adapter.replaced_by, session.adapter.kept_by))

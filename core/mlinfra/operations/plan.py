"""plan: what an `up` would do, offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlinfra.declarations.part import Part
from mlinfra.diff import Change, ResourceChange, difference
from mlinfra.engine_plan import changes_of
from mlinfra.environment import Destruction
from mlinfra.expectations import Duration, duration, serving
from mlinfra.operations.review import Review, review
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError, Refused
from mlinfra.program import record_program
from mlinfra.repository import Repository
from mlinfra.resources import Resources
from mlinfra.state import PROJECT, checkpoint_of, read_state


@dataclass(frozen=True)
class Plan:
    """The resources that are declared, those of the last `up`, and what changes."""

    session: Session
    resources: Resources
    state: Resources
    changes: Sequence[ResourceChange]
    engine: bool = False
    """Whether the engine's own preview says so; else the offline difference does."""
    review: Review | None = None
    """What it costs and which rules it breaks; None where nobody asked."""
    unread: str | None = None
    """Why the state could not be read: then everything is compared with nothing, and looks new."""

    @property
    def changed(self) -> bool:
        """Whether an `up` would touch anything."""
        return any(change.change is not Change.SAME for change in self.changes)

    @property
    def duration(self) -> Duration:
        """How long an `up` takes for its changes, training aside."""
        return duration(self.changes)

    def permission(self, change: ResourceChange) -> str | None:
        """Return the reason for which the environment lets a change destroy data, or None."""
        names = {change.part, change.resource.urn}
        allowed = self.session.environment.destroy_data
        return next((item.reason for item in allowed if item.resource in names), None)

    @property
    def forbidden(self) -> list[ResourceChange]:
        """The changes that would destroy data, and that the environment does not allow: `up` refuses them."""
        return [change for change in self.changes if change.destroys_data and self.permission(change) is None]

    @property
    def unused_permissions(self) -> list[Destruction]:
        """The lines of `destroy_data` by which nothing would be destroyed: they are left from another time."""
        lost = [change for change in self.changes if change.destroys_data]
        named = {name for change in lost for name in (change.part, change.resource.urn)}
        return [item for item in self.session.environment.destroy_data if item.resource not in named]

    @property
    def not_yet(self) -> list[str]:
        """What is declared and the target does not carry out, or not whole, with what happens instead."""
        entries = [(*entry.partition("="), note) for entry, note in self.session.adapter.not_yet.items()]
        return [
            f"{part.key}: {field.partition('.')[2]}: {f'{share} {note}'.strip()}"
            for part in self.session.resolved.parts
            for field, _, share, note in entries
            if _declares(part.part, field)
        ]

    @property
    def refused(self) -> bool:
        """Whether an `up` would refuse it: data would be destroyed, or a mandatory rule is broken."""
        return bool(self.forbidden) or (self.review is not None and self.review.checked.refused)

    def by_part(self) -> Mapping[str | None, Sequence[ResourceChange]]:
        """Return the changes of each part, in the order in which parts are made of each other.

        Parts that are gone come after those that are declared; raw resources last, under None.
        """
        parts: dict[str | None, list[ResourceChange]] = {part.key: [] for part in self.session.resolved.parts}
        for change in self.changes:
            parts.setdefault(change.part, []).append(change)
        return parts

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `plan --json`, version 1."""
        return {
            "version": 1,
            "environment": self.session.environment.name,
            "target": self.session.environment.target,
            "resources": [resource.to_json() for resource in self.resources.all],
            "parts": [
                {
                    "part": key,
                    "endpoint": serving(key or "", changes),
                    "changes": [change.to_json() for change in changes],
                }
                for key, changes in self.by_part().items()
            ],
            "engine": self.engine,
            "state_unread": self.unread,
            "expected": self.duration.to_json(),
            "unused_destroy_data": [item.resource for item in self.unused_permissions],
            "not_yet": self.not_yet,
            **(self.review.to_json() if self.review else {}),
            "problems": [],
        }


def plan(repository: Repository, name: str, *, engine: bool = False, say: Callable[[str], None] | None = None) -> Plan:
    """Return the plan of an environment; offline (no engine, no network, no credentials for a local state).

    Where another state cannot be reached, the plan says so and compares with nothing. With `engine` the engine
    previews it; `say` is told when one must be installed first.

    Raises:
        Problems: all problems of all files, and all refusals of the target.
        Refused: data would be destroyed, which the engine does not preview.
        MlinfraError: the engine failed.
    """
    session = Session.open(repository, name)
    try:
        made = plan_of(session)
    except MlinfraError as error:
        if engine or checkpoint_of(repository, session.environment) is not None:
            raise
        made = replace(_compared(session, Resources([])), unread=error.message)
    if engine:
        made = _previewed(made, say or (lambda _: None))
    return replace(made, review=review(made.session, made.resources, made.state))


def _declares(part: Part, field: str) -> bool:
    kind, *path = field.split(".")
    value: Any = part.spec() if type(part).__name__ == kind else None
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value is not None


def _previewed(made: Plan, say: Callable[[str], None]) -> Plan:
    if lost := [change for change in made.changes if change.destroys_data]:
        what = ", ".join(sorted({change.part or change.resource.name for change in lost}))
        raise Refused(
            f"this would destroy data ({what}), and the engine previews nothing that it protects",
            remedy=f"mlinfra plan {made.session.environment.name} shows it offline",
        )
    preview = made.session.stack(say).preview()
    changes = changes_of(preview, made.session.adapter.kept_by)
    return replace(made, resources=Resources.from_preview(preview), changes=changes, engine=True)


def plan_of(session: Session) -> Plan:
    """Return the offline plan of an open session."""
    return _compared(session, read_state(session.repository, session.environment, session.known_stack))


def _compared(session: Session, state: Resources) -> Plan:
    resources = record_program(session.repository.root, session.resolved, session.adapter, project=PROJECT)
    adapter = session.adapter
    changes = difference(resources, state, adapter.replaced_by, adapter.kept_by, adapter.loses)
    return Plan(session, resources, state, changes)

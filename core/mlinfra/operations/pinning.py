"""Changing what a lock names: by a commit, or, where `releases: latest` is followed, in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.operations.session import Session
from mlinfra.releases import Pin


@dataclass(frozen=True)
class Pinned:
    """How the lock says it: `how` in words; the commit, and the pull request where there is one."""

    how: str
    commit: str | None = None
    url: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `rollback --json` prints."""
        return {"how": self.how, "commit": self.commit, "url": self.url}


def pin_anew(session: Session, pins: Mapping[str, Pin], message: str, *, direct: bool) -> Pinned:
    """Make the lock of an environment name other releases, or hold them.

    Raises:
        MlinfraError: git, its host or the store does not take it.
    """
    if session.environment.releases == "latest":
        store = session.repository.artifacts(session.environment)
        for part in session.resolved.of_kind(Endpoint):
            pin = pins.get(part.part.name)
            if pin is not None:
                lines = pin.model_dump(exclude={"release"})
                store.put_newest(session.environment.name, part.stack, part.part.name, pin.release, **lines)
        return Pinned("in the artifact store, which this environment follows")
    from mlinfra.operations.pinning_in_git import pin_in_git

    return pin_in_git(session, pins, message, direct=direct)

"""hold and resume: stops automation in an environment, and lets it go on."""

from __future__ import annotations

from datetime import UTC, datetime

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.operations.pinning import Pinned, pin_anew
from mlinfra.operations.session import Session
from mlinfra.problems import WrongUse
from mlinfra.releases import Hold
from mlinfra.repository import Repository
from mlinfra.rollout.record import stamp


def hold(repository: Repository, name: str, *, reason: str, owner: str, direct: bool, on: bool) -> Pinned:
    """Write a hold into the lines of every endpoint that has a release, or take all away.

    Raises:
        WrongUse: there is nothing to hold, or nothing is held.
        MlinfraError: git, its host or the store does not take it.
    """
    session = Session.open(repository, name)
    held = Hold(reason=reason, owner=owner, since=stamp(datetime.now(UTC))) if on else None
    pins = {}
    for part in session.resolved.of_kind(Endpoint):
        endpoint = part.part
        assert isinstance(endpoint, Endpoint)
        pin = session.declared.pin(endpoint)
        if pin is not None and (on or pin.hold is not None):
            pins[endpoint.name] = pin.model_copy(update={"hold": held})
    if not pins:
        raise WrongUse(f"{name} has no release that could be held" if on else f"{name} is not held")
    verb = "Hold" if on else "Resume"
    return pin_anew(session, pins, f"{verb} {name}: {reason}\n\nBy {owner}.", direct=direct)

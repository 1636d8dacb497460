"""status: what is declared, what was recorded, and what really serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mlinfra.adapters import ResolvedPart, Serving
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.operations.session import Session
from mlinfra.releases import Release
from mlinfra.repository import Repository


@dataclass(frozen=True)
class EndpointStatus:
    """One endpoint: the release that is wanted (None before the first), and what the target says serves."""

    part: ResolvedPart
    wanted: Release | None
    serving: Serving

    @property
    def as_wanted(self) -> bool:
        """Whether the wanted release, and it alone, answers and is healthy."""
        with_traffic = [item for item in self.serving.releases if item.weight > 0]
        wanted = [self.wanted.short] if self.wanted else []
        return [item.release for item in with_traffic] == wanted and all(item.healthy for item in with_traffic)

    @property
    def on_its_way(self) -> bool:
        """Whether the wanted release is being rolled out, and all that get requests are healthy."""
        record = self.serving.rollout
        if record is None or self.wanted is None or not record.is_under_way:
            return False
        return self.serves and record.release == self.wanted.short

    @property
    def serves(self) -> bool:
        """Whether all releases that get requests are healthy, whoever gave them to these; nothing is wanted: True."""
        with_traffic = [item for item in self.serving.releases if item.weight > 0]
        return self.wanted is None or (bool(with_traffic) and all(item.healthy for item in with_traffic))


@dataclass(frozen=True)
class Status:
    """All endpoints of an environment."""

    session: Session
    endpoints: Sequence[EndpointStatus]

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `status --json`, version 1."""
        return {
            "version": 1,
            "environment": self.session.environment.name,
            "target": self.session.environment.target,
            "tick_every": self.session.environment.tick_every,
            "endpoints": [
                {
                    "endpoint": item.part.part.name,
                    "url": item.serving.url,
                    "wanted": item.wanted.digest if item.wanted else None,
                    "generation": item.serving.generation,
                    "releases": [asdict(release) for release in item.serving.releases],
                    "as_wanted": item.as_wanted,
                    "rollout": item.serving.rollout.to_json() if item.serving.rollout else None,
                    "trained": _trained(item.wanted) if item.wanted else None,
                }
                for item in self.endpoints
            ],
        }


def _trained(release: Release) -> dict[str, Any]:
    made = release.provenance
    return {"run": made.run, "created": made.created, "metrics": dict(made.metrics)}


def status(repository: Repository, name: str) -> Status:
    """Ask the target what really serves in an environment."""
    return status_of(Session.open(repository, name))


def status_of(session: Session) -> Status:
    """Ask the target what really serves in an open session."""
    endpoints = [
        EndpointStatus(
            part,
            part.deployments[0].release if part.deployments else None,
            session.service.observe(part.part.renamed_from or part.part.name),
        )
        for part in session.resolved.of_kind(Endpoint)
    ]
    return Status(session, endpoints)

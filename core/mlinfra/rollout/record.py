"""What is remembered of a rollout: kept beside the weights in Traffic, at the target and in Pulumi's state.

Whoever continues a rollout, on whatever machine, knows nothing but this, what is declared, and what really serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlinfra.declarations.check import Answer

_FROZEN = ConfigDict(frozen=True, extra="ignore")


class Phase(StrEnum):
    """Where a rollout is.

    `shadow`: copies of requests go to the new release, and no answers come from it; `step`: it has its share, which
    is watched; `served`: it has everything, and was verified; `failed`: a gate failed, and what served before serves
    again; `rolled back`: a person took it back.
    """

    SHADOW = "shadow"
    STEP = "step"
    SERVED = "served"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"


class GateResult(BaseModel):
    """What one gate said: `measured` of the new release, `against` of the one that serves now, and on how many samples.

    A number that is not known is None. `since` is how long it has been so, where that matters.
    """

    model_config = _FROZEN
    gate: str
    answer: Answer
    measured: float | None = None
    against: float | None = None
    samples: int = 0
    message: str = ""
    since: str = ""


class Failure(BaseModel):
    """A release that failed its rollout, or was taken back; `at` is ISO 8601 in UTC."""

    model_config = _FROZEN
    release: str
    at: str
    reason: str


class RolloutRecord(BaseModel):
    """The rollout of an endpoint that was begun last. Releases are named by their first 12 digits, times are ISO 8601.

    `previous` is what served before it. `step` counts the declared steps from 0. The share is watched until `until`;
    a gate without data stops it there until `deadline`, then the share goes back. `paused` is who paused it, and why.
    `held` is who works on it now (host and process). `failures` are remembered until they are tried again; `verified`
    is when the release was found to serve as declared; `warm_until` is when the previous one may go.
    """

    model_config = _FROZEN
    release: str
    phase: Phase
    previous: str | None = None
    step: int = 0
    started: str = ""
    since: str = ""
    until: str | None = None
    deadline: str | None = None
    paused: str | None = None
    held: str | None = None
    gates: Sequence[GateResult] = ()
    failures: Sequence[Failure] = ()
    approvals: Mapping[str, str] = {}
    verified: str | None = None
    warm_until: str | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether the release has not got everything yet, and may."""
        return self.phase in (Phase.SHADOW, Phase.STEP)

    def failure(self, release: str) -> Failure | None:
        """Return how a release failed, or None."""
        return next((item for item in self.failures if item.release == release), None)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON."""
        return self.model_dump(mode="json")


def moment(text: str) -> datetime:
    """Return the time that a record names."""
    return datetime.fromisoformat(text)


def shown(text: str | None) -> str:
    """Return a time that a record names as people read it: `2026-11-22 15:12:15 UTC`."""
    return f"{moment(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if text else "an unknown time"


def stamp(time: datetime) -> str:
    """Return how a record names a time."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")

"""The split of an endpoint's requests between releases: what is asked for, and what is really in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mlinfra_providers.local.layout import segments

MOST_UPSTREAMS = 4


@dataclass(frozen=True)
class Traffic:
    """The split that an endpoint shall have.

    `weights` and `mirror` are whole percentages by release; weights add up to 100, or there are none, and the endpoint
    answers 503. `upstreams` are the ports of 127.0.0.1 on which the releases' servers listen. Releases that have a
    weight stand in for each other, but for one that is on `trial`: it never gets more than its share. Those of
    `standby` stand in as well without having a weight (the previous release, kept warm), so that a release not yet
    proved, or rolled back, answers nobody. A higher `generation` is a later wish. `release` is the one that was
    declared to serve when this was decided; a shift leaves it. `rollout` is what is remembered of the rollout.
    """

    generation: int
    weights: Mapping[str, int] = field(default_factory=dict)
    upstreams: Mapping[str, int] = field(default_factory=dict)
    mirror: Mapping[str, int] = field(default_factory=dict)
    standby: frozenset[str] = frozenset()
    release: str | None = None
    trial: str | None = None
    rollout: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.generation < 0:
            raise ValueError(f"a generation of traffic is not negative, and this is {self.generation}")
        if len(self.upstreams) > MOST_UPSTREAMS:
            raise ValueError(f"at most {MOST_UPSTREAMS} releases share traffic, and these are {len(self.upstreams)}")
        for release in self.upstreams:
            if len(segments(release)) != 1:
                raise ValueError(f"{release!r}: the name of a release holds no '/'")
        if unknown := sorted({*self.weights, *self.mirror, *self.standby} - {*self.upstreams}):
            raise ValueError(f"no upstream for {', '.join(unknown)}")
        if any(not 0 <= percent <= 100 for percent in (*self.weights.values(), *self.mirror.values())):
            raise ValueError("weights and mirrored shares are from 0 to 100 percent")
        if sum(self.weights.values()) not in (0, 100):
            raise ValueError(f"weights add up to 100 percent, and these to {sum(self.weights.values())}")

    @property
    def serving(self) -> frozenset[str]:
        """The releases that have a weight."""
        return frozenset(release for release, weight in self.weights.items() if weight)

    def without(self, release: str) -> Traffic:
        """Return the same split without a release that has no weight."""
        if release in self.serving:
            raise ValueError(f"{release} has a weight of {self.weights[release]} percent")
        weights, upstreams, mirror = (
            {name: value for name, value in each.items() if name != release}
            for each in (self.weights, self.upstreams, self.mirror)
        )
        return replace(
            self, weights=weights, upstreams=upstreams, mirror=mirror, standby=self.standby - {release},
            trial=None if self.trial == release else self.trial,
        )  # fmt: skip

    @property
    def stand_ins(self) -> frozenset[str]:
        """The releases that may answer for another one."""
        return (self.serving | self.standby) - {self.trial}

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "standby": sorted(self.standby)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Traffic:
        return cls(**{**value, "standby": frozenset(value["standby"])})


@dataclass(frozen=True)
class Upstream:
    """What the router counted for a release's server since it knows it, mirrored requests included.

    `errors` are answers of 500 and above and broken connections; `active` requests have no answer yet.
    """

    port: int
    healthy: bool
    requests: int
    errors: int
    active: int


@dataclass(frozen=True)
class Observed:
    """The split really in force, read from the router itself; empty when it does not run."""

    running: bool
    generation: int = 0
    weights: Mapping[str, int] = field(default_factory=dict)
    mirror: Mapping[str, int] = field(default_factory=dict)
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)

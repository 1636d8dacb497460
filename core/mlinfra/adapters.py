"""What a target must be able to do: declare resources, and run what is declared.

An adapter is found by the entry point group `mlinfra.adapters`; the shipped ones come through the same door as
anybody's. `mlinfra.testing` holds the contract that each must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from mlinfra.declarations.compute import Compute
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra.foundation import Foundation, SourceHost
from mlinfra.installed import installed
from mlinfra.problems import MlinfraError, Problem, nearest
from mlinfra.releases import Release
from mlinfra.resources import Resources
from mlinfra.rollout.record import RolloutRecord
from mlinfra.rollout.samples import NoData, Samples

GROUP = "mlinfra.adapters"


@dataclass(frozen=True)
class Instance:
    """A type of machine of the target: its name there, and what it has."""

    name: str
    cpus: float
    memory_gib: float
    gpus: int = 0


@dataclass(frozen=True)
class Deployment:
    """One release as it is served here: `part` is the release's own specification with the overrides applied."""

    release: Release
    part: Part
    frozen: bool = False
    """The previous release: kept as it is, whatever is declared today."""


@dataclass(frozen=True)
class ResolvedPart:
    """A part with everything decided that can be decided without asking the target.

    `folder` is the stack's folder under `stacks/`, `code` the digest of its files, `deployments` the releases of an
    endpoint: the serving one first, then the previous one; none before the first release. `monitors` are the drift
    monitors that watch an endpoint.
    """

    stack: str
    owner: str
    folder: str
    code: str
    part: Part
    instance: Instance | None = None
    deployments: Sequence[Deployment] = ()
    monitors: Sequence[Part] = ()

    @property
    def key(self) -> str:
        """The part's path in the environment: `endpoints.flight-delay`."""
        return self.part.key


@dataclass(frozen=True)
class Links:
    """What the parts declared so far gave to those made of them: values or Pulumi outputs, by part and name."""

    environment: Environment
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    parent: Any = None
    """The Pulumi component of the part that is being declared: the parent of its resources."""
    around: Any = None
    """What the adapter's own `surround` made for all parts."""

    def of(self, part: Part) -> Mapping[str, Any]:
        """Return what `part` gave."""
        return self.given[part.key]

    def giving(self, part: ResolvedPart, **values: Any) -> Links:
        """Return these links and what `part` gives."""
        return replace(self, given={**self.given, part.key: values})


@dataclass(frozen=True)
class ServedRelease:
    """One release as it really serves: `weight` in percent, `artifact` its digest as loaded, `image` that of its
    container with the digest, `replicas` how many answer, `address` behind the endpoint. Unknown, or not had on a
    target, is None, never a guess."""

    release: str
    weight: int
    healthy: bool
    artifact: str | None = None
    image: str | None = None
    replicas: int | None = None
    address: str | None = None
    last_failure: str | None = None


@dataclass(frozen=True)
class Serving:
    """What really serves at an endpoint, asked of the target; `url` is what clients call."""

    endpoint: str
    url: str | None
    releases: Sequence[ServedRelease]
    generation: int
    rollout: RolloutRecord | None = None
    """What is remembered of the rollout that was begun last."""
    asked_by: str | None = None
    """The command that asks it, `{request}` being a file with a request, where that needs the target's own client;
    None: whoever reaches it sends the request to `<url>/v2/models/<endpoint>/infer`."""


@dataclass(frozen=True)
class Run:
    """A finished training run. `outcome`: accepted, rejected, failed, timed out, no model."""

    id: str
    outcome: str
    metrics: Mapping[str, float]
    checks: Sequence[Mapping[str, Any]]
    seconds: float
    adopted: bool
    inputs: str
    result: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""


@dataclass(frozen=True)
class Ingested:
    """The rows that a feature store holds. `data` is their digest, `read_at` (ISO 8601) when their source was asked
    last, `written` whether this call wrote them: False where they were there already."""

    rows: int
    data: str
    read_at: str
    written: bool


class Service(Protocol):
    """The running side of a target: what is asked and done outside the engine."""

    def observe(self, endpoint: str) -> Serving:
        """Return what really serves. An endpoint that is not there has no releases and no url."""
        ...

    def shift(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        generation: int,
        rollout: RolloutRecord | None = None,
        mirror: Mapping[str, int] | None = None,
    ) -> Serving:
        """Set the split (percent by release), and what is remembered with it; `mirror` gets copies of requests.

        A generation that is not newer is refused. Without a `rollout` the one that is kept stays."""
        ...

    def samples(self, part: ResolvedPart, since: datetime, until: datetime) -> Samples | NoData:
        """Return what was measured of an endpoint's releases in a window."""
        ...

    def add_labels(self, endpoint: str, labels: Mapping[str, float]) -> int:
        """Keep what was true in the end, by request id; return how many were not known before."""
        ...

    def restore(self, recorded: Resources) -> Sequence[str]:
        """Bring back what a reboot ended; end what a killed run began and did not record. Return a line for each.

        `recorded` is the state of the last `up`. A target on which nothing of this happens returns nothing."""
        ...

    def empty(self, recorded: Resources) -> None:
        """Remove what is in things that the target deletes only when nothing is in them.

        `down --destroy-data` asks for it when nothing runs any more, with what the state still records: what holds
        data. A target that deletes such things with what is in them does nothing."""
        ...

    def down(self, *, destroy_data: bool) -> Sequence[str]:
        """End what is left after the resources are gone; return a line for each thing that was kept."""
        ...

    def train(self, part: ResolvedPart, *, again: bool, say: Callable[[str], None]) -> Run:
        """Run a job, or adopt the finished run with the same inputs; `again` runs it once more."""
        ...

    def ingest(self, part: ResolvedPart, *, say: Callable[[str], None]) -> Ingested:
        """Write a feature store's rows, where its source gives others than those that are there.

        The source is asked when its code or columns changed, when the rows are older than `refresh`, or when the store
        was made anew. Called again after a kill, it does what is left."""
        ...

    def logs(self, part: ResolvedPart) -> Sequence[Path]:
        """Return the log files of a part, oldest first."""
        ...

    def drift(self, part: ResolvedPart, window: str) -> Mapping[str, Any]:
        """Measure a drift monitor's window now (`1h`, `START..END`, `all`); the job's result."""
        ...


class Adapter(Protocol):
    """One target. All methods but `service` and `examine` are pure: no I/O, the same answer for the same question."""

    name: str
    proved_against: str
    """What all of it was tried with, in words."""
    proofs: Mapping[str, str]
    """By kind of part (`Endpoint`; `Environment` for what is around): what it was tried with beyond that."""
    not_yet: Mapping[str, str]
    """Fields that are registered but not carried out yet, each with what happens instead: `Endpoint.rollout`,
    or a part of one in words: `Endpoint.rollout.shadow=copies of more than half of the requests`."""
    shared: bool
    """Whether others reach what is made here, so that state and artifacts must be kept where they do."""
    place: Mapping[str, tuple[Any, Any]]
    """The fields of `mlinfra.place` that this target has, each with two values that it takes; and its own values of
    `state` and `artifacts`, where those of AWS do not do. The contract tries them; where the prices of targets are
    compared, and the target demands a field that is not written, its first value is supposed."""

    def refuse_environment(self, environment: Environment) -> Iterable[tuple[str, str, str]]:
        """Yield (field, reason, way out) for each field of the environment that this target cannot honour, or that it
        demands and does not find. What it has no use for at all is said by `mlinfra.place.refuse_foreign`."""
        ...

    def refuse(self, part: Part, environment: Environment) -> Iterable[Problem]:
        """Yield a problem for each value of a part that this target cannot honour: never ignore one."""
        ...

    def replaced_by(self, type_token: str) -> frozenset[str] | None:
        """Return the inputs whose change replaces a resource of this type; None where that is not known."""
        ...

    def kept_by(self, type_token: str) -> frozenset[str]:
        """Return the inputs of a type that an `up` leaves as they are: who shifted the traffic has the last word."""
        ...

    def loses(self, type_token: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
        """Return what a change of inputs would take from those who read the data, or None.

        `up` refuses it, unless the environment names the part under `destroy_data`: then the resource is replaced."""
        ...

    def id_of(self, environment: Environment, type_token: str, inputs: Mapping[str, Any]) -> str | None:
        """Return the id that a resource would have, where its inputs say it before it is made and the target refuses
        to make it twice: a create that was killed is then taken over. None where making it again does no harm."""
        ...

    def instance(self, need: Compute) -> Instance | None:
        """Return the cheapest type of machine that fits, or None when none does."""
        ...

    def surround(self, parts: Sequence[ResolvedPart], links: Links) -> Links:
        """Register what all parts share, under an `mlinfra.realize.Surroundings`; return the links with `around`.

        It comes before the first part. A target without anything shared returns the links as they are."""
        ...

    def declare(self, part: ResolvedPart, links: Links) -> Links:
        """Register the part's resources with Pulumi; return the links with what it gives."""
        ...

    def diagnose(self) -> Iterable[tuple[bool | None, str, str]]:
        """Yield (good, detail, the command that mends it) for what this target needs on this machine."""
        ...

    def foundation(self, environment: Environment, source: SourceHost | None) -> Foundation:
        """Return what must exist before the first `up`, and how it is found and declared.

        `source` is where the repository is, whose pipelines get an identity; None where no host is known. `images` may
        be missing in the environment: where they are pushed to is made here. Pure, as the others: it asks when asked.
        """
        ...

    def examine(
        self, environment: Environment, parts: Sequence[ResolvedPart]
    ) -> Iterable[tuple[str, bool | None, str, str]]:
        """Ask the target, and yield (subject, good, detail, what mends it): credentials, region, stores, permissions,
        quotas for two fleets of each endpoint. Changes nothing. What cannot be told is None, with the reason."""
        ...

    def service(self, environment: Environment, repository: Path) -> Service:
        """Return the running side; only here may the target's SDK be imported."""
        ...


def adapter_names() -> list[str]:
    """Return the names of the installed adapters, sorted."""
    return sorted({point.name for point in installed(GROUP)})


def load_adapter(name: str) -> Adapter:
    """Return the adapter of a target. An import that fails inside it stays visible.

    Raises:
        MlinfraError: no adapter has this name, or two packages bring one.
    """
    found = [point for point in installed(GROUP) if point.name == name]
    if not found:
        known = adapter_names()
        near = nearest(name, known)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise MlinfraError(
            f"no adapter for target {name!r}{hint}; installed: {', '.join(known)}",
            remedy="install the package that brings it, or name another target",
        )
    if len({point.value for point in found}) > 1:
        raise MlinfraError(
            f"target {name!r} is brought by two packages: {', '.join(point.value for point in found)}",
            remedy="uninstall one of them",
        )
    made: Adapter = found[0].load()()
    return made

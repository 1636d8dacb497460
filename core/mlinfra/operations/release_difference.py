"""diff: what tells two releases apart, and what a month of each costs where it could be served."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.diff import PropertyChange, property_changes
from mlinfra.operations.releases import Catalogue
from mlinfra.problems import MlinfraError, Problems
from mlinfra.releases import Pin, Release
from mlinfra.repository import Repository

if TYPE_CHECKING:
    from mlinfra.operations.session import Session
    from mlinfra.prices.estimate import Estimate
    from mlinfra.resolve import Declared

Column = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """One metric of both runs; None where a run did not log it."""

    name: str
    before: float | None
    after: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `diff --json` prints."""
        return {"metric": self.name, "before": self.before, "after": self.after}


@dataclass(frozen=True)
class Columns:
    """How the inputs (or the outputs) differ; a column is a mapping of name, type, and whether it is required.

    `reordered`: the columns of both are not in the same order, which makes another release.
    """

    added: Sequence[Column]
    removed: Sequence[Column]
    retyped: Sequence[tuple[Column, Column]]
    reordered: bool

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.retyped or self.reordered)

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `diff --json` prints."""
        return {
            "added": [dict(column) for column in self.added],
            "removed": [dict(column) for column in self.removed],
            "retyped": [{"before": dict(before), "after": dict(after)} for before, after in self.retyped],
            "reordered": self.reordered,
        }


@dataclass(frozen=True)
class Costs:
    """What a month of the endpoint costs in one environment with each release; None: it cannot be served there."""

    environment: str
    target: str
    before: Estimate | None
    after: Estimate | None
    reason: str = ""
    """Why one of them, or both, cannot be served there."""

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `diff --json` prints."""
        return {
            "environment": self.environment,
            "target": self.target,
            "before": _amounts(self.before),
            "after": _amounts(self.after),
            "reason": self.reason or None,
        }


@dataclass(frozen=True)
class Difference:
    """What tells two releases apart. Paths of `spec` are those of the specification before overrides."""

    before: Release
    after: Release
    metrics: Sequence[Metric]
    spec: Sequence[PropertyChange]
    inputs: Columns
    outputs: Columns
    identity: Sequence[PropertyChange]
    """Runtime and its version, artifact, baseline."""
    provenance: Sequence[PropertyChange]
    """Data and code digests, run, commit, author, time."""
    costs: Sequence[Costs] = ()

    @property
    def same(self) -> bool:
        """Whether it is the same release, however it came to be."""
        return self.before.digest == self.after.digest

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `diff --json`, version 1."""
        return {
            "version": 1,
            "before": self.before.digest,
            "after": self.after.digest,
            "same": self.same,
            "metrics": [metric.to_json() for metric in self.metrics],
            "spec": _changes(self.spec),
            "inputs": self.inputs.to_json(),
            "outputs": self.outputs.to_json(),
            "identity": _changes(self.identity),
            "provenance": _changes(self.provenance),
            "cost": [costs.to_json() for costs in self.costs],
        }


def compare(repository: Repository, before: str, after: str) -> Difference:
    """Compare two releases that are named by digest, or by 8 or more of its first digits.

    Raises:
        WrongUse: one of them names no release, or several.
    """
    catalogue = Catalogue.read(repository)
    one, other = catalogue.find(before), catalogue.find(after)
    return dataclasses.replace(difference_of(one, other), costs=_costs(repository, one, other))


def difference_of(before: Release, after: Release) -> Difference:
    """Return what tells two releases apart, without their costs."""
    one, other = before.model_dump(mode="json"), after.model_dump(mode="json")
    own_parts = ("spec", "signature")
    return Difference(
        before,
        after,
        _metrics(before.provenance.metrics, after.provenance.metrics),
        property_changes(before.identity.spec, after.identity.spec),
        _columns(before, after, "inputs"),
        _columns(before, after, "outputs"),
        property_changes(_without(one["identity"], own_parts), _without(other["identity"], own_parts)),
        property_changes(_without(one["provenance"], ["metrics"]), _without(other["provenance"], ["metrics"])),
    )


def _metrics(before: Mapping[str, float], after: Mapping[str, float]) -> list[Metric]:
    return [Metric(name, before.get(name), after.get(name)) for name in sorted({*before, *after})]


def _columns(before: Release, after: Release, side: str) -> Columns:
    old, new = (
        {column["name"]: column for column in release.identity.signature.get(side, ())} for release in (before, after)
    )
    kept = [name for name in old if name in new]
    return Columns(
        [column for name, column in new.items() if name not in old],
        [column for name, column in old.items() if name not in new],
        [(old[name], new[name]) for name in kept if old[name] != new[name]],
        kept != [name for name in new if name in old],
    )


def _costs(repository: Repository, before: Release, after: Release) -> list[Costs]:
    """Price the endpoint with each release in every environment that declares it."""
    found: list[Costs] = []
    for name in repository.environments():
        try:
            declared = repository.load(name)
        except MlinfraError as error:
            found.append(Costs(name, "", None, None, _reason(error)))
            continue
        priced = [_priced(repository, declared, release) for release in (before, after)]
        if any(price is not None for price in priced):
            one, other = (price if isinstance(price, tuple) else (None, "") for price in priced)
            reason = "; ".join(dict.fromkeys(text for _, text in (one, other) if text))
            found.append(Costs(name, declared.environment.target, one[0], other[0], reason))
    return found


def _priced(repository: Repository, declared: Declared, release: Release) -> tuple[Estimate | None, str] | None:
    """Return what the release's endpoint costs, or why it cannot be told; None where there is no such endpoint."""
    from mlinfra.adapters import load_adapter
    from mlinfra.declarations.endpoint import Endpoint
    from mlinfra.operations.session import Session
    from mlinfra.resolve import resolve

    endpoint = next(
        (
            part
            for item in declared.stacks
            if item.stack.name == release.stack
            for part in item.stack.of_kind(Endpoint)
            if release.endpoint in (part.name, part.renamed_from)
        ),
        None,
    )
    if endpoint is None:
        return None
    pinned = dataclasses.replace(
        declared,
        environment=declared.environment.model_copy(update={"releases": "locked"}),
        lock={endpoint.name: Pin(release=release.digest)},
        releases={release.digest: release},
    )
    try:
        adapter = load_adapter(declared.environment.target)
        return _part_of(Session(repository, pinned, adapter, resolve(pinned, adapter)), endpoint.key), ""
    except MlinfraError as error:
        return None, _reason(error)
    except ImportError as error:
        return None, f"the target {declared.environment.target} is not installed completely: {error}"


def _part_of(session: Session, key: str) -> Estimate:
    """Return the estimate of one part alone."""
    from mlinfra.prices.estimate import estimate
    from mlinfra.prices.own import repository_book
    from mlinfra.program import record_program
    from mlinfra.state import PROJECT

    environment, root = session.environment, session.repository.root
    resources = record_program(root, session.resolved, session.adapter, project=PROJECT)
    made = estimate(resources, repository_book(root), usage=environment.usage, commitments=environment.commitments)
    return dataclasses.replace(
        made,
        items=[item for item in made.items if item.part == key],
        unpriced=[gap for gap in made.unpriced if gap.part == key],
    )


def _reason(error: MlinfraError) -> str:
    problems = error.problems if isinstance(error, Problems) else ()
    return "; ".join(str(problem).splitlines()[0] for problem in problems) or error.message


def _amounts(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "monthly_usd": estimate.monthly.to_json() if estimate.monthly else None,
        "unpriced": [gap.to_json() for gap in estimate.monthly_gaps],
    }


def _changes(changes: Sequence[PropertyChange]) -> list[dict[str, Any]]:
    return [{"path": change.path, "before": change.before, "after": change.after} for change in changes]


def _without(value: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in names}

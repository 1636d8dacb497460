"""history: what happened in an environment, who did it and why, how it ended, and what that says of its delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.environment import Environment, parse_environment
from mlinfra.history.events import Event, in_order, with_stacks
from mlinfra.history.git_log import GitLog
from mlinfra.history.locks import events_of
from mlinfra.history.measures import Measure, deployments, measures
from mlinfra.history.pulumi_history import history_folder, read_records, read_runs
from mlinfra.history.rollouts import Kept, rollouts
from mlinfra.operations.releases import Catalogue
from mlinfra.operations.session import Session
from mlinfra.problems import MlinfraError, Problems, WrongUse, nearest
from mlinfra.releases import Release, find_release
from mlinfra.repository import Repository
from mlinfra.rollout.record import stamp

GIT, PULUMI, TARGET = "git", "pulumi", "target"


@dataclass(frozen=True)
class Source:
    """Where events are from: whether all of it could be read, and what could not, in `notes`."""

    name: str
    complete: bool
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the shape that `history --json` prints."""
        return {"source": self.name, "complete": self.complete, "notes": list(self.notes)}


@dataclass(frozen=True)
class History:
    """The events of an environment from `since` (None: all that is known) to `until`, oldest first."""

    environment: str
    stack: str | None
    since: datetime | None
    until: datetime
    events: Sequence[Event]
    measures: Sequence[Measure]
    sources: Sequence[Source]

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape of `history --json`, version 1."""
        return {
            "version": 1,
            "environment": self.environment,
            "stack": self.stack,
            "since": stamp(self.since) if self.since else None,
            "until": stamp(self.until),
            "events": [event.to_json() for event in self.events],
            "measures": [measure.to_json() for measure in self.measures],
            "sources": [source.to_json() for source in self.sources],
        }


def history(repository: Repository, name: str, *, stack: str | None = None, window: timedelta | None = None) -> History:
    """Return what happened in an environment, in one of its stacks, in the last `window` where one is given.

    Runs of Pulumi are of the whole environment, and are left out where a stack is named. A source that cannot be read
    is named, and hides nothing of the others.

    Raises:
        WrongUse: no such environment, or no such stack.
    """
    repository.check_name(name)
    until = datetime.now(UTC)
    environment, problems = parse_environment(repository.yaml(f"environments/{name}.yaml"), name)
    catalogue = Catalogue.read(repository)
    git, log, pinned = _from_git(repository, name, list(catalogue.releases))
    target, serving, stacks = _from_target(repository, name)
    pulumi, runs, records = _from_pulumi(repository, None if problems else environment)
    stacks = {**{release.endpoint: release.stack for release in catalogue.releases.values()}, **stacks}
    _refuse_unknown(stack, stacks)
    events = in_order(with_stacks([*pinned, *rollouts([*records, *serving]), *runs], stacks))
    if stack is not None:
        events = [event for event in events if event.stack == stack]
    sources = [git, pulumi, target]
    since = until - window if window else None
    found = measures(
        events, since, until,
        complete=all(source.complete for source in sources), committed=_committed(events, catalogue, log),
    )  # fmt: skip
    shown = [event for event in events if since is None or (event.at is not None and event.at >= since)]
    return History(name, stack, since, until, shown, found, sources)


def _from_git(repository: Repository, name: str, releases: Sequence[str]) -> tuple[Source, GitLog | None, list[Event]]:
    file = f"environments/{name}.lock.yaml"
    try:
        log = GitLog(repository.root)
        events = list(events_of(log.main_line(file), file, releases))
        notes = [f"{file} has changes that are not committed"] if log.differs(file) else []
    except MlinfraError as error:
        return Source(GIT, False, [error.message]), None, []
    if log.shallow:
        notes.append("the clone is shallow: what is older is not known (git fetch --unshallow brings it)")
    return Source(GIT, not log.shallow, notes), log, events


def _from_target(repository: Repository, name: str) -> tuple[Source, list[Kept], dict[str, str]]:
    """Return what the target remembers of the rollouts that were begun last, and the stacks of the endpoints."""
    kept: list[Kept] = []
    stacks: dict[str, str] = {}
    try:
        session = Session.open(repository, name)
        for part in session.resolved.of_kind(Endpoint):
            stacks[part.part.name] = part.stack
            record = session.service.observe(part.part.renamed_from or part.part.name).rollout
            if record is not None:
                kept.append(Kept(part.part.name, record, TARGET))
    except Problems as error:
        said = [str(problem).splitlines()[0] for problem in error.problems]
        return Source(TARGET, False, [f"is not asked: {line}" for line in said]), kept, stacks
    except MlinfraError as error:
        return Source(TARGET, False, [f"cannot be asked: {error.message}"]), kept, stacks
    return Source(TARGET, True), kept, stacks


def _from_pulumi(
    repository: Repository, environment: Environment | None
) -> tuple[Source, list[Event], list[Kept]]:  # fmt: skip
    if environment is None:
        return Source(PULUMI, False, ["where the state is cannot be read in the environment's file"]), [], []
    try:
        runs, notes = read_runs(repository, environment)
    except MlinfraError as error:
        return Source(PULUMI, False, [error.message]), [], []
    if history_folder(repository, environment) is None:
        notes.append("the states of earlier runs are not in a folder: of rollouts, the last one alone is known")
    return Source(PULUMI, not notes, notes), runs, list(read_records(repository, environment))


def _refuse_unknown(stack: str | None, stacks: Mapping[str, str]) -> None:
    known = sorted(set(stacks.values()))
    if stack is not None and stack not in known:
        near = nearest(stack, known)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise WrongUse(f"nothing is known of a stack {stack!r}{hint}; there are: {', '.join(known) or 'none'}")


def _committed(events: Sequence[Event], catalogue: Catalogue, log: GitLog | None) -> dict[str, datetime]:
    """Return when the commit was made that each deployed release comes from, where that is known."""
    found: dict[str, datetime] = {}
    for name in {item.release for item in deployments(events) if item.release}:
        release: Release | None = find_release(name, catalogue.releases)
        time = log.time_of(release.provenance.commit or "") if log is not None and release is not None else None
        if time is not None:
            found[name] = time
    return found

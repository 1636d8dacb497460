"""What Pulumi remembers of an environment: its runs, and, where the backend is a folder, the states that they left."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.history.events import Event, Kind, Outcome
from mlinfra.history.rollouts import Kept, records_in
from mlinfra.problems import MlinfraError
from mlinfra.state import PROJECT, checkpoint_of

if TYPE_CHECKING:
    from mlinfra.environment import Environment
    from mlinfra.repository import Repository

SOURCE = "pulumi"
_KINDS = {"update": Kind.UP, "destroy": Kind.DOWN, "refresh": Kind.REFRESH}
_OUTCOMES = {"succeeded": Outcome.SUCCEEDED, "failed": Outcome.FAILED, "in-progress": Outcome.WAITING}
_SAME = frozenset({"same", "read", "read-replacement"})
_PHASE = b'"phase"'
"""What a state with the record of a rollout holds: the others need not be parsed."""


def read_runs(repository: Repository, environment: Environment) -> tuple[list[Event], list[str]]:
    """Return the runs of an environment, oldest first, and what could not be read of them; [] before the first.

    Raises:
        MlinfraError: the backend is not a folder, and there is no engine, or it cannot read it.
    """
    folder = history_folder(repository, environment)
    if folder is None:
        return events_of(_asked(repository, environment))
    runs, unread = [], []
    for path in _files(folder, ".history.json"):
        try:
            runs.append(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            unread.append(f"{path.name} cannot be read")
    events, odd = events_of(runs)
    return events, unread + odd


def read_records(repository: Repository, environment: Environment) -> Iterator[Kept]:
    """Yield the records of rollouts in the states that runs left, oldest first; none where there is no folder."""
    folder = history_folder(repository, environment)
    for path in _files(folder, ".checkpoint.json") if folder else ():
        try:
            content = path.read_bytes()
            if _PHASE in content:
                yield from records_in(json.loads(content), SOURCE)
        except (OSError, ValueError, AttributeError, TypeError):
            continue  # a copy of a state that is not a state tells nothing


def history_folder(repository: Repository, environment: Environment) -> Path | None:
    """Return where the history is kept, or None when the backend is not a folder."""
    checkpoint = checkpoint_of(repository, environment)
    return checkpoint.parents[2] / "history" / PROJECT / environment.name if checkpoint else None


def events_of(runs: Iterable[Any]) -> tuple[list[Event], list[str]]:
    """Return Pulumi's own list of runs as events, oldest first, and what is wrong with entries that are none."""
    events, odd = [], []
    for run in runs:
        try:
            events.append(_event(run))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            odd.append("an entry of Pulumi's history is of an unknown form")
    events.sort(key=lambda event: event.started.timestamp() if event.started else 0.0)
    return events, odd


def _event(run: Mapping[str, Any]) -> Event:
    kind = _KINDS.get(run["kind"], Kind.OTHER)
    outcome = _OUTCOMES.get(str(run.get("result")), Outcome.WAITING)
    facts: Mapping[str, str] = run.get("environment") or {}
    changes: Mapping[str, int] = run.get("resourceChanges") or {}
    return Event(
        kind,
        outcome,
        SOURCE,
        started=_time(run["startTime"]),
        ended=None if outcome is Outcome.WAITING else _time(run.get("endTime")),
        who=_who(facts),
        why=str(run.get("message") or "").partition("\n")[0],
        note=run["kind"] if kind is Kind.OTHER else "",
        commit=facts.get("git.head"),
        changed=sum(count for name, count in changes.items() if name not in _SAME) if changes else None,
    )


def _who(facts: Mapping[str, str]) -> str | None:
    """Return the build that ran it. Of a person Pulumi knows only who wrote the commit, which need not be the same."""
    system, build = facts.get("ci.system"), facts.get("ci.build.number") or facts.get("ci.build.id")
    return f"{system}, build {build}" if system and build else system


def _time(value: Any) -> datetime | None:
    """Return a time that is seconds since 1970 in a folder, and ISO 8601 in what the engine prints."""
    if not value:
        return None
    if isinstance(value, str):
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    return datetime.fromtimestamp(value, UTC)


def _files(folder: Path, ending: str) -> Sequence[Path]:
    """Return the files of the history, oldest first: their names hold the time of the run."""
    return sorted(folder.glob(f"*{ending}"), key=lambda path: (len(path.name), path.name))


def _asked(repository: Repository, environment: Environment) -> list[Any]:
    """Return what the engine says of a backend that is not a folder."""
    from mlinfra.pulumi_stack import PulumiStack
    from mlinfra_engine.install import find

    engine = find()
    if engine is None:
        raise MlinfraError(
            f"reading the history in {environment.state} needs the Pulumi engine", remedy="python -m mlinfra_engine"
        )
    variables = {**os.environ, **PulumiStack(repository, environment, engine).variables()}
    everything = ("--json", "--page-size", "0", "--stack", environment.name, "--non-interactive")
    done = subprocess.run(
        [str(engine.path), "stack", "history", *everything],
        cwd=repository.root, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and "no stack named" in done.stderr:
        return []
    try:
        if done.returncode:
            raise ValueError(done.stderr.strip().rpartition("\n")[2] or "the engine said nothing")
        found = json.loads(done.stdout or "[]")
    except ValueError as error:
        raise MlinfraError(f"the history in {environment.state} cannot be read: {error}") from None
    return found if isinstance(found, list) else []

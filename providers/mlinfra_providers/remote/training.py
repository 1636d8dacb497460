"""Training on a target elsewhere: a job is submitted once for the same inputs, waited for, and judged here.

    <artifacts>/runs/<environment>/<job>/<digest short>.json      the newest run of this digest that ended
    <runs>/<name>/                                                what the job itself left
    .mlinfra/<environment>/runs/<job>/<digest short>/<attempt>/   a copy of it, and log.txt

The job's name is made of the digest of all that can change the model, so whoever comes second, or comes back after a
kill, finds the job that is there and waits for it. An attempt that ended without the launcher's word (no machine, taken
away, stopped) is not adopted: the next call makes another.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from mlinfra.adapters import ResolvedPart, Run
from mlinfra.artifacts import ArtifactStore
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.digests import short
from mlinfra.durations import seconds
from mlinfra.environment import Environment
from mlinfra.files import last_lines, read_kept
from mlinfra.problems import MlinfraError, Refused
from mlinfra.training.launcher import RESULT_FILE
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.naming import physical_name
from mlinfra_providers.remote import inputs
from mlinfra_providers.remote.jobs import Job, Jobs, Phase, State, Tree
from mlinfra_providers.remote.place import Place as Place
from mlinfra_providers.run_record import (
    FAILED,
    FINISHED,
    TIMED_OUT,
    RunRecord,
    commit_of,
    judge,
    passed,
    run_digest,
    run_id,
)

Say = Callable[[str], None]

TAIL_LINES = 20
SHORTEST_POLL, LONGEST_POLL = 0.5, 10.0
"""Seconds between two questions: a short run is seen at once, a long one is not asked in vain."""
_SLOWER = 1.2
PATIENCE = 8
"""So many questions in a row may go unanswered before this command gives up waiting; the job goes on."""
GRACE_SECONDS = 120.0
"""A target ends a run that takes too long; where it does not, it is ended from here so much later."""


def train(
    environment: Environment,
    repository: Path,
    part: ResolvedPart,
    jobs: Jobs,
    place: Place,
    *,
    again: bool,
    say: Say,
    wait: Callable[[float], None] = time.sleep,
) -> Run:
    """Read the job's inputs here, have the target run it, or adopt the run with the same inputs.

    Raises:
        MlinfraError: a source fails, the target refuses the job or was not reached, or nothing can be kept.
    """
    run = _Run(environment, repository, part, jobs, place, say, wait)
    return run.make(again=again).to_run()


class _Run:
    """One call of `train`."""

    def __init__(
        self,
        environment: Environment,
        repository: Path,
        part: ResolvedPart,
        jobs: Jobs,
        place: Place,
        say: Say,
        wait: Callable[[float], None],
    ) -> None:
        job = part.part
        assert isinstance(job, TrainingJob)
        assert environment.images is not None
        self._declared = job
        self._part = part
        self._jobs = jobs
        self._place = place
        self._say = say
        self._wait = wait
        self._layout = Layout(repository, environment.name)
        self._folder = self._layout.repository / "stacks" / part.folder
        self._store = ArtifactStore(environment.artifacts or "")
        self._image = environment.images.training
        self._known = (environment.name, physical_name(job))
        read = inputs.read(self._layout, part, say)
        self._data = {name: given.digest for name, given in read.items()}
        self._digest = run_digest(physical_name(job), job.code, part.code, self._image, self._data, dict(job.params))
        self._read = read
        self._here = self._layout.run(f"{physical_name(job)}/{short(self._digest)}")
        self._here.mkdir(parents=True, exist_ok=True)
        self._alone = FileLock(self._here / "lock")

    def make(self, *, again: bool) -> RunRecord:
        """Return the record of the run, made or adopted."""
        kept = self._store.run(*self._known, short(self._digest))
        known = RunRecord.from_json(json.loads(kept)) if kept else None
        if known is not None and not again and (adopted := self._adopted(known)) is not None:
            return adopted
        attempt, job, ours = self._submitted(known.attempt + 1 if known else 1)
        state = self._followed(job, attempt)
        with self._alone:
            record, told = self._ended(job, attempt, state)
            if told:
                content = json.dumps(record.to_json(), sort_keys=True).encode()
                self._store.put_run(*self._known, short(self._digest), content)
        return replace(record, adopted=not ours)

    def _adopted(self, known: RunRecord) -> RunRecord | None:
        """Return the run that was made of the same inputs, judged by today's checks, or None to make one."""
        limit = seconds(self._declared.max_runtime)
        if known.outcome == TIMED_OUT and limit > known.max_runtime_seconds:
            self._say(f"{known.id} reached its {known.max_runtime_seconds:g} s; it is now given more")
            return None
        if known.outcome == FINISHED and not all(
            digest and self._store.has(digest) for digest in (known.model_digest, known.baseline_digest)
        ):
            self._say(f"{known.id} has lost its model or baseline; training again")
            return None
        checks = judge([check.spec() for check in self._declared.accept], known.metrics)
        return replace(known, checks=checks, accepted=known.outcome == FINISHED and passed(checks), adopted=True)

    def _submitted(self, attempt: int) -> tuple[int, Job, bool]:
        """Return the attempt that goes on, or that ended and was not recorded; else submit one. True: it is ours."""
        trees = self._put()
        while True:
            job = self._job(attempt, *trees)
            state = self._jobs.state(job)
            if state is None:
                self._say(f"training {job.name}")
                self._jobs.submit(job)
                return attempt, job, True
            if not state.phase.ended:
                self._say(f"{job.name} is being made already; waiting for it")
                return attempt, job, False
            if state.phase in (Phase.SUCCEEDED, Phase.TIMED_OUT) or self._told(job, attempt) is not None:
                self._say(f"{job.name} has ended; taking what it made")
                return attempt, job, False
            self._say(f"{job.name} ended without a result{_because(state)}; making it again")
            attempt += 1

    def _put(self) -> tuple[Tree, Mapping[str, Tree]]:
        given = ArtifactStore(self._place.given)
        return inputs.put_code(given, self._folder, self._part.code), inputs.put_inputs(given, self._read)

    def _job(self, attempt: int, code: Tree, given: Mapping[str, Tree]) -> Job:
        name = run_id(physical_name(self._declared), self._digest, attempt)
        return Job(
            name=name,
            part=self._part,
            script=self._declared.code,
            code=code,
            output=f"{self._place.runs.rstrip('/')}/{name}",
            inputs=given,
            params=dict(self._declared.params),
            max_runtime_seconds=seconds(self._declared.max_runtime),
            spot=self._declared.spot,
        )

    def _followed(self, job: Job, attempt: int) -> State:
        """Wait until the job has ended, and tell what it prints."""
        told, pause, unanswered, waiting = 0, SHORTEST_POLL, 0, False
        try:
            while True:
                try:
                    state = self._jobs.state(job)
                    unanswered = 0
                except (MlinfraError, OSError) as error:
                    unanswered += 1
                    if unanswered == 1:
                        self._say(f"the target does not answer: {error}; asking again")
                    if unanswered > PATIENCE:
                        raise MlinfraError(
                            f"{job.name}: the target does not answer: {error}",
                            remedy="the job goes on; the same command finds it again",
                        ) from error
                    self._wait(pause := min(pause * 2, LONGEST_POLL))
                    continue
                if state is None:
                    raise MlinfraError(
                        f"{job.name} was there, and is not any more", remedy="the same command makes it again"
                    )
                told += self._tell(job, attempt, told)
                if state.phase.ended:
                    return state
                if state.phase is Phase.WAITING and not waiting:
                    waiting = True
                    self._say(f"waiting for a machine{_because(state)}")
                if _is_over(state, job):
                    self._jobs.stop(job)
                    return State(Phase.TIMED_OUT, f"stopped after {job.max_runtime_seconds:g} s", state.started)
                self._wait(pause)
                pause = min(pause * _SLOWER, LONGEST_POLL)
        except KeyboardInterrupt:
            self._say(f"{job.name} goes on; the same command finds it again")
            raise

    def _tell(self, job: Job, attempt: int, skip: int) -> int:
        """Tell and keep the lines that are new, and return how many: one that is late must not end a wait."""
        with contextlib.suppress(MlinfraError, OSError):
            lines = self._jobs.lines(job, skip)
            for line in lines:
                self._say(line)
            path = self._here / str(attempt) / "log.txt"
            path.parent.mkdir(exist_ok=True)
            with path.open("a" if skip else "w", encoding="utf-8") as log:
                log.writelines(f"{line}\n" for line in lines)
            return len(lines)
        return 0

    def _ended(self, job: Job, attempt: int, state: State) -> tuple[RunRecord, bool]:
        """Return the record of a job that ended, and whether that is the run's own end, to be adopted."""
        result = self._told(job, attempt)
        if state.phase is Phase.SUCCEEDED and result is None:
            raise MlinfraError(
                f"{job.name} succeeded, and {RESULT_FILE} is not in {job.output}",
                remedy=f"check that the image runs mlinfra.training.launcher: {self._image}",
            )
        result = result or {}
        timed_out = state.phase is Phase.TIMED_OUT
        outcome = TIMED_OUT if timed_out else result.get("outcome", FAILED)
        folder = self._here / str(attempt)
        made = result if outcome == FINISHED else {}
        if made:
            self._store_made(folder / "output", made)
        metrics = result.get("metrics", {})
        checks = judge([check.spec() for check in self._declared.accept], metrics)
        log = self._log(job, folder, state)
        return RunRecord(
            id=job.name,
            job=physical_name(self._declared),
            digest=self._digest,
            attempt=attempt,
            outcome=outcome,
            accepted=outcome == FINISHED and passed(checks),
            checks=checks,
            metrics=metrics,
            params=dict(job.params),
            inputs=self._data,
            code=self._part.code,
            libraries=self._image,
            script=job.script,
            commit=commit_of(self._folder),
            memory_gib=self._declared.compute.memory_gib,
            max_runtime_seconds=job.max_runtime_seconds,
            started_at=(state.started or datetime.now(UTC)).isoformat(timespec="microseconds"),
            seconds=result.get("seconds", 0.0),
            peak_memory_bytes=result.get("peak_memory_bytes", 0),
            folder=folder.relative_to(self._layout.runs).as_posix(),
            log_tail=[] if made else last_lines(log, TAIL_LINES),
            runtime=made.get("runtime"),
            runtime_version=made.get("runtime_version"),
            model_digest=made.get("model_digest"),
            signature=made.get("signature"),
            baseline_digest=made.get("baseline_digest"),
        ), timed_out or bool(result)

    def _told(self, job: Job, attempt: int) -> Mapping[str, Any] | None:
        """Fetch what a job left; return what its launcher says of it, or None where it said nothing."""
        output = self._here / str(attempt) / "output"
        with self._alone:  # of another process that waits for the same job
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir(parents=True)
            self._jobs.fetch(job, output)
            result: Mapping[str, Any] | None = read_kept(output / RESULT_FILE)
        return result

    def _store_made(self, output: Path, made: Mapping[str, Any]) -> None:
        """Put model and baseline into the store, if they are what the launcher took the digests of."""
        for name in ("model", "baseline"):
            if (found := self._store.put_tree(output / name)) != made[f"{name}_digest"]:
                raise Refused(
                    f"the {name} of this run was changed: expected {made[f'{name}_digest']}, found {found}",
                    remedy="train it again: mlinfra train --retrain",
                )

    def _log(self, job: Job, folder: Path, state: State) -> Path:
        lines: Sequence[str] = []
        with contextlib.suppress(MlinfraError, OSError):
            lines = self._jobs.lines(job, 0)
        path = folder / "log.txt"
        path.write_text("\n".join([*lines, *([state.reason] if state.reason else [])]) + "\n", encoding="utf-8")
        return path


def _is_over(state: State, job: Job) -> bool:
    if state.phase is not Phase.RUNNING or state.started is None:
        return False
    ran = (datetime.now(UTC) - state.started).total_seconds()
    return ran > job.max_runtime_seconds + GRACE_SECONDS


def _because(state: State) -> str:
    return f" ({state.reason})" if state.reason else ""

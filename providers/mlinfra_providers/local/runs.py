"""Training runs: a process with limits and a log file, made once for the same inputs.

    <environment>/runs/<job>/<digest short>/run.json        the newest run of this digest that ended
    <environment>/runs/<job>/<digest short>/<attempt>/      record.json, log.txt, code/, output/

A folder without record.json was interrupted; the next run removes it and starts again. Whoever comes second waits
at the lock, and adopts.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from mlinfra.artifacts import ArtifactStore
from mlinfra.digests import digest_tree, short
from mlinfra.files import last_lines, read_json, read_kept, write_json
from mlinfra.problems import NO_ROOM, MlinfraError, tells_no_room
from mlinfra.training.code import code_digest
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.tracking import Tracker
from mlinfra_providers.local.workers import environment
from mlinfra_providers.run_record import (
    FAILED,
    FINISHED,
    OUT_OF_MEMORY,
    TIMED_OUT,
    Request,
    RunRecord,
    commit_of,
    judge,
    passed,
    run_id,
)

TAIL_LINES = 20
_POLL_SECONDS = 0.2
_GRACE_SECONDS = 2.0
_GIBIBYTE = 1 << 30

Say = Callable[[str], None]


def train(
    request: Request,
    layout: Layout,
    store: ArtifactStore,
    tracker: Tracker | None = None,
    *,
    again: bool = False,
    say: Say | None = None,
) -> RunRecord:
    """Make the run that `request` describes, or adopt the one that was made; `again` makes it once more.

    Every end of a run is recorded and returned, also the bad ones (`outcome`), and adopted the next time: a script
    that failed fails again on the same inputs. A run that reached its time or memory is made again when it is now
    given more. `accept` is judged each time. The model and baseline of an accepted run are put into `store`, and
    the run is written to MLflow, by `tracker` or one of its own. `say` gets what happens, and every line that the
    script prints.

    Raises:
        MlinfraError: the run's files, the store or MLflow cannot be written.
    """
    tell = say or (lambda line: None)
    place = layout.run(f"{request.job}/{short(request.digest)}")
    with _explained(place):
        place.mkdir(parents=True, exist_ok=True)
        with _locked(place, tell):
            record = None if again else _adopted(request, layout, place, tell)
            if record is None:
                record = _make(request, layout, place, tell)
            write_json(place / "run.json", replace(record, adopted=False).to_json(), durable=True)
            if record.accepted:
                store.put_tree(record.model(layout.runs))
                store.put_tree(record.baseline(layout.runs))
            record = _tracked(record, layout, tracker, place)
    return record


def records(layout: Layout, job: str) -> list[RunRecord]:
    """Return every run of a job that ended, oldest first."""
    found = [read_json(path) for path in (layout.runs / job).glob("*/*/record.json")]
    return sorted((RunRecord.from_json(value) for value in found if value), key=lambda record: record.started_at)


def logs(layout: Layout, job: str) -> list[Path]:
    """Return the log files of a job's runs, oldest first; of a run that goes on now, too."""
    return sorted((layout.runs / job).glob("*/*/log.txt"), key=lambda path: path.stat().st_mtime)


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror or error
        raise MlinfraError(
            f"the training run in {place} cannot be kept: {reason}",
            remedy="make room on the disk, then run it again: it starts from the beginning",
        ) from error


@contextmanager
def _locked(place: Path, tell: Say) -> Iterator[None]:
    lock = FileLock(place / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("another process makes the same run; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _adopted(request: Request, layout: Layout, place: Path, tell: Say) -> RunRecord | None:
    """Return the run that was made of the same inputs, judged by today's checks, or None to make one."""
    kept = read_kept(place / "run.json")
    record = RunRecord.from_json(kept) if kept is not None else None
    if record is None or record.digest != request.digest:
        return None
    if record.outcome == TIMED_OUT and request.max_runtime_seconds > record.max_runtime_seconds:
        tell(f"{record.id} reached its {record.max_runtime_seconds:g} s; it is now given more")
        return None
    if record.outcome == OUT_OF_MEMORY and request.memory_gib > record.memory_gib:
        tell(f"{record.id} reached its {record.memory_gib:g} GiB; it is now given more")
        return None
    if record.outcome == FINISHED and not _is_whole(record, layout):
        tell(f"{record.id} has lost its model or baseline; training again")
        return None
    checks = judge(request.accept, record.metrics)
    accepted = record.outcome == FINISHED and passed(checks)
    return replace(record, checks=checks, accepted=accepted, adopted=True)


def _is_whole(record: RunRecord, layout: Layout) -> bool:
    try:
        return (
            digest_tree(record.model(layout.runs)) == record.model_digest
            and digest_tree(record.baseline(layout.runs)) == record.baseline_digest
        )
    except (FileNotFoundError, ValueError):
        return False


def _make(request: Request, layout: Layout, place: Path, tell: Say) -> RunRecord:
    attempts = [folder for folder in place.iterdir() if folder.name.isdigit()]
    for folder in attempts:
        if not (folder / "record.json").exists():
            tell(f"a run was interrupted; starting it again ({short(request.digest)})")
            shutil.rmtree(folder)
    attempt = 1 + max((int(folder.name) for folder in attempts if folder.exists()), default=0)
    folder = place / str(attempt)
    code = _copy_code(request, folder / "code")
    tell(f"training {run_id(request.job, request.digest, attempt)}")
    started, clock = datetime.now(UTC), time.monotonic()
    outcome, peak = _run(request, folder, code, tell)
    seconds = time.monotonic() - clock
    result = read_kept(folder / "output" / "result.json") or {}
    if outcome is None:
        outcome = result.get("outcome", FAILED)
    ended_well = outcome == FINISHED
    made = result if ended_well else {}
    metrics = result.get("metrics", {})
    checks = judge(request.accept, metrics)
    tail = [] if ended_well else last_lines(folder / "log.txt", TAIL_LINES)
    if tells_no_room("\n".join(tail)):
        # recorded, it would be adopted as the failure of a script that may be fine
        raise MlinfraError("\n".join([f"training {request.job} found no room on the disk", *tail]), remedy=NO_ROOM)
    record = RunRecord(
        id=run_id(request.job, request.digest, attempt),
        job=request.job,
        digest=request.digest,
        attempt=attempt,
        outcome=outcome,
        accepted=ended_well and passed(checks),
        checks=checks,
        metrics=metrics,
        params=dict(request.params),
        inputs={name: given.digest for name, given in request.inputs.items()},
        code=request.code,
        libraries=request.libraries,
        script=request.script,
        commit=commit_of(request.folder),
        memory_gib=request.memory_gib,
        max_runtime_seconds=request.max_runtime_seconds,
        started_at=started.isoformat(timespec="microseconds"),
        seconds=round(seconds, 3),
        peak_memory_bytes=max(peak, result.get("peak_memory_bytes", 0)),
        folder=folder.relative_to(layout.runs).as_posix(),
        # The script ran in a copy; people know it by the place where they wrote it.
        log_tail=[line.replace(str(code), str(request.folder)) for line in tail],
        runtime=made.get("runtime"),
        runtime_version=made.get("runtime_version"),
        model_digest=made.get("model_digest"),
        signature=made.get("signature"),
        baseline_digest=made.get("baseline_digest"),
    )
    write_json(folder / "record.json", record.to_json(), durable=True)
    return record


def _copy_code(request: Request, to: Path) -> Path:
    """Copy the code, so that editing it while it runs changes nothing, and the run keeps what it was made of."""
    shutil.copytree(request.folder, to, ignore=shutil.ignore_patterns("__pycache__", ".*"), symlinks=True)
    if (found := code_digest(to)) != request.code:
        raise MlinfraError(
            f"{request.folder} changed while the run was prepared: {short(found)}, expected {short(request.code)}",
            remedy="run it again",
        )
    return to


def _run(request: Request, folder: Path, code: Path, tell: Say) -> tuple[str | None, int]:
    """Run the launcher until it ends or reaches a limit; return that limit's outcome (or None) and peak bytes."""
    output = folder / "output"
    output.mkdir()
    variables = {
        **environment(),
        **{f"MLINFRA_INPUT_{name.upper()}": str(given.path.resolve()) for name, given in request.inputs.items()},
        "MLINFRA_PARAMS": json.dumps(dict(request.params)),
        "MLINFRA_OUTPUT": str(output),
        "LOKY_MAX_CPU_COUNT": str(request.cpus),
    }
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mlinfra.training.launcher", "--stop-with-stdin", request.script],
            cwd=code,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _limit(process.pid, request)
        return _watch(process, request, folder / "log.txt", tell)
    finally:
        _end_group(process)


def _watch(process: subprocess.Popen[bytes], request: Request, log: Path, tell: Say) -> tuple[str | None, int]:
    deadline = time.monotonic() + request.max_runtime_seconds
    allowed = int(request.memory_gib * _GIBIBYTE)
    peak = 0
    with log.open("rb") as lines:
        while True:
            ended = _ended_within(process, _POLL_SECONDS)
            _tell_lines(lines, tell)
            if ended:
                return None, peak
            peak = max(peak, used := _resident_bytes(process.pid))
            outcome, reason = "", ""
            if used > allowed:
                outcome = OUT_OF_MEMORY
                reason = f"used {used / _GIBIBYTE:.2f} GiB of memory, {request.memory_gib:g} GiB are allowed"
            elif time.monotonic() > deadline:
                outcome, reason = TIMED_OUT, f"did not end within {request.max_runtime_seconds:g} s"
            if outcome:
                _end_group(process)
                with log.open("a") as end:
                    end.write(f"\nstopped by mlinfra: {request.script} {reason}\n")
                return outcome, peak


def _tell_lines(lines: Any, tell: Say) -> None:
    while line := lines.readline():
        if not line.endswith(b"\n"):
            lines.seek(-len(line), os.SEEK_CUR)
            return
        tell(line.decode(errors="replace").rstrip())


def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _resident_bytes(launcher: int) -> int:
    """Return the resident memory of everything that the launcher started."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(launcher).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_info().rss
    return total


def _limit(pid: int, request: Request) -> None:
    """Set priority and CPUs before the launcher, still importing, starts the script, which inherits both."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if request.niceness:
            process.nice(request.niceness)
        if hasattr(process, "cpu_affinity"):  # macOS has none
            available = process.cpu_affinity()
            process.cpu_affinity(available[: request.cpus])


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the launcher and everything in its process group, also what the script left in the background."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        _ended_within(process, _GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _tracked(record: RunRecord, layout: Layout, tracker: Tracker | None, place: Path) -> RunRecord:
    """Write the run to MLflow, unless it is there already as it is now."""
    kept = read_kept(place / "tracked.json") or {}
    now = {"id": record.id, "accepted": record.accepted}
    if {name: kept.get(name) for name in now} == now:
        return replace(record, tracking_id=kept["tracking_id"])
    if tracker is None:
        with Tracker(layout) as own:
            tracking_id = own.track(record)
    else:
        tracking_id = tracker.track(record)
    write_json(place / "tracked.json", {**now, "tracking_id": tracking_id}, durable=True)
    return replace(record, tracking_id=tracking_id)

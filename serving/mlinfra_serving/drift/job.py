"""The drift monitor's job: `python -m mlinfra_serving.drift`, once or on a schedule.

A run writes `<timestamp>.json`, `latest.json` and `latest.html` to the output folder, prints a table, and does what
is due on drift. Exit codes of a single run: 0 no drift, 1 drift, 4 no data, 2 the run could not be done. With
`--every` the job stays until it is told to stop (SIGTERM or SIGINT, after the run it is in) and then exits 0.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlinfra.durations import seconds
from mlinfra.files import write_atomically
from mlinfra.problems import MlinfraError
from mlinfra_serving.drift.actions import OnDrift, act, parse_on_drift
from mlinfra_serving.drift.capture import parse_window, read_capture
from mlinfra_serving.drift.compare import compare
from mlinfra_serving.drift.evidently_report import require_evidently, write_evidently
from mlinfra_serving.drift.profile import read_baseline
from mlinfra_serving.drift.report import render
from mlinfra_serving.drift.result import Result, Threshold, Verdict, parse_thresholds

log = logging.getLogger("mlinfra_serving.drift")

RESULT_VERSION = 1
EXIT_CODES: dict[Verdict, int] = {"ok": 0, "drift": 1, "no data": 4}
EXIT_FAILED = 2
KEPT_RESULTS = 1000
"""Results with a time in their name that stay; older ones are removed."""
LOCK_FILE = ".lock"
LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Job:
    """What a run needs to know. `window` is as on the command line, so that it moves with every run.

    `capture` is a folder, or a URL that fsspec reads.
    """

    endpoint: str
    baseline: Path
    capture: Path | str
    release: str
    thresholds: dict[str, Threshold]
    window: str
    output: Path
    on_drift: OnDrift
    evidently: bool = False


def run(job: Job, now: datetime) -> Result:
    """Measure one window, write the results and do what is due; `now` is the end of a window such as `1h`.

    Raises:
        MlinfraError: the baseline or the thresholds cannot be used, or another run holds the output folder.
    """
    job.output.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(job.output / LOCK_FILE, timeout=LOCK_SECONDS):
            return _run(job, now)
    except Timeout:
        raise MlinfraError(
            f"another drift run has held {job.output} for {LOCK_SECONDS:g} s",
            remedy="wait for it to end, or give this run an output folder of its own",
        ) from None


def _run(job: Job, now: datetime) -> Result:
    window = parse_window(job.window, now)
    profile = read_baseline(job.baseline)
    captured = read_capture(job.capture, job.release, window)
    result = compare(profile, captured.frame, job.thresholds)
    document: dict[str, Any] = {
        "version": RESULT_VERSION,
        "endpoint": job.endpoint,
        "release": job.release,
        "window": window.to_json(),
        "computed_at": now.isoformat(),
        "files": captured.files,
        "unreadable_files": captured.unreadable,
        "mirrored_rows_excluded": captured.mirrored,
        **result.to_json(),
    }
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    write_atomically(job.output / f"{now:%Y%m%dT%H%M%S.%fZ}.json", text, durable=True, private=False)
    write_atomically(job.output / "latest.json", text, durable=True, private=False)
    _forget(job.output)
    act(job.on_drift, document, job.output)
    write_atomically(job.output / "latest.html", render(document), durable=True, private=False)
    if job.evidently:
        write_evidently(job.baseline, captured.frame, job.output)
    sys.stdout.write(f"{job.endpoint}, release {job.release}: {result.verdict}\n{result.table()}\n")
    sys.stdout.flush()
    return result


def keep_running(job: Job, every: int, stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
    """Run now and then every `every` seconds until `stop` is set; a run that fails is logged and tried next time.

    The schedule is kept on the monotonic clock, so that a jump of the wall clock neither skips nor repeats runs; a
    run that takes longer than `every` skips the times it missed.
    """
    start = clock()
    while not stop.is_set():
        try:
            run(job, datetime.now(UTC))
        except MlinfraError as error:
            log.error("the run failed, next try in time: %s", _told(error))
        except Exception:  # the watch must outlive whatever one window brings
            log.exception("the run failed, next try in time")
        turn = int((clock() - start) // every) + 1
        stop.wait(max(start + turn * every - clock(), 0.0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        every = _every(options.every)
        job = Job(
            endpoint=options.endpoint,
            baseline=options.baseline,
            capture=options.capture,
            release=options.release,
            thresholds=parse_thresholds(_json(options.thresholds)),
            window=options.window or options.every or "all",
            output=options.output,
            on_drift=parse_on_drift(options.on_drift),
            evidently=options.evidently,
        )
        parse_window(job.window, datetime.now(UTC))
        if job.evidently:
            require_evidently(job.baseline)
        if every is None:
            return EXIT_CODES[run(job, datetime.now(UTC)).verdict]
    except (MlinfraError, OSError) as error:
        sys.stderr.write(f"error: {_told(error)}\n")
        return EXIT_FAILED
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keep_running(job, every, stop)
    return 0


def _place(text: str) -> Path | str:
    return text if "://" in text else Path(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlinfra_serving.drift",
        description="Compare captured requests with the rows that a model was trained on.",
        epilog="Exit codes: 0 no drift, 1 drift, 2 the run could not be done, 4 no data.",
    )
    add = parser.add_argument
    add("--endpoint", required=True, metavar="NAME")
    add("--baseline", required=True, type=Path, metavar="DIR", help="folder with profile.json or rows.parquet")
    add("--capture", required=True, type=_place, metavar="DIR|URL", help="the server's capture folder, or its store")
    add("--release", required=True, metavar="SHORT", help="the release whose requests are read")
    add(
        "--thresholds",
        required=True,
        metavar="JSON",
        help='by column, such as \'{"temp": {"metric": "js_divergence", "operator": "<=", "value": 0.1}}\'',
    )
    add(
        "--window", metavar="1h|ISO..ISO|all", help="which requests; the end is not included (default: --every, or all)"
    )
    add("--output", required=True, type=Path, metavar="DIR")
    add("--every", metavar="1h", help="stay and run on this schedule")
    add(
        "--on-drift",
        default="log",
        metavar="log|webhook:URL|block-promotion",
        help="webhook:$NAME reads the address from the environment",
    )
    add("--evidently", action="store_true", help="write evidently.html as well")
    return parser


def _every(text: str | None) -> int | None:
    try:
        return seconds(text) if text is not None else None
    except ValueError as error:
        raise MlinfraError(f"--every {text!r}: {error}") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise MlinfraError(f"--thresholds is not JSON: {error}") from error


def _forget(output: Path) -> None:
    results = sorted(output.glob("[0-9]*T*Z.json"))
    for file in results[:-KEPT_RESULTS]:
        file.unlink(missing_ok=True)


def _told(error: MlinfraError | OSError) -> str:
    remedy = error.remedy if isinstance(error, MlinfraError) else ""
    return f"{error}\n  → {remedy}" if remedy else str(error)

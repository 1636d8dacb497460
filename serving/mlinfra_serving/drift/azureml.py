"""The drift job in a container of Azure ML: `python -m mlinfra_serving.drift.azureml`.

Azure ML mounts the folder that it collects into, `modelDataCollector`, and writes a line for each request and each
answer, as CloudEvents: `<endpoint>/<deployment>/{request,response}/yyyy/MM/dd/HH/<instance>.jsonl`, one pair by
`correlationid`. https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data. What is to be
compared is told by the variables MLINFRA_DRIFT_{ENDPOINT, RELEASE, WINDOW, THRESHOLDS, ON_DRIFT}. Exit codes: 0 no
drift or no data, 1 drift, 2 the run could not be done; Azure ML calls all but 0 a failure.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from mlinfra.problems import MlinfraError
from mlinfra_serving.drift.actions import parse_on_drift
from mlinfra_serving.drift.capture import Window, parse_window
from mlinfra_serving.drift.job import EXIT_CODES, EXIT_FAILED, Job, run
from mlinfra_serving.drift.result import parse_thresholds

PREFIX = "MLINFRA_DRIFT_"
_UNREADABLE = (ValueError, KeyError, TypeError, IndexError)

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(prog="python -m mlinfra_serving.drift.azureml")
    for name in ("capture", "baseline", "output"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    options = parser.parse_args(arguments)
    told = {key.removeprefix(PREFIX).lower(): value for key, value in os.environ.items() if key.startswith(PREFIX)}
    try:
        now = datetime.now(UTC)
        with tempfile.TemporaryDirectory(prefix="mlinfra-drift-") as scratch:
            endpoint, release = told["endpoint"], told["release"]
            keep(options.capture / endpoint, Path(scratch), release, parse_window(told["window"], now))
            job = Job(
                endpoint=endpoint,
                baseline=options.baseline,
                capture=Path(scratch),
                release=release,
                thresholds=parse_thresholds(json.loads(told["thresholds"])),
                window=told["window"],
                output=options.output,
                # the alarm on a failed run posts to the webhook
                on_drift=parse_on_drift(told["on_drift"].replace("webhook", "log")),
            )
            verdict = run(job, now).verdict
    except KeyError as error:
        sys.stderr.write(f"error: {PREFIX}{str(error.args[0]).upper()} is not set\n")
        return EXIT_FAILED
    except (MlinfraError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    return EXIT_CODES[verdict] if verdict == "drift" else 0


def keep(collected: Path, capture: Path, release: str, window: Window) -> int:
    """Write what was collected of a release the way the server captures; return how many requests were not readable.

    A release may have had several deployments, `r<release>-<digits>`. The folders of one day are read at a time; a
    request whose answer lies under another day is not readable.
    """
    bad = 0
    for deployment in sorted(collected.glob(f"r{release}-*")):
        for folder in sorted((deployment / "request").glob("*/*/*")):
            day = _day(folder)
            if day is None or not _inside(day, window):
                continue
            answers = {event["correlationid"]: event for event in _events(deployment / "response", day)}
            rows: list[dict[str, Any]] = []
            for event in _events(deployment / "request", day):
                try:
                    rows += _rows(event, answers[event["correlationid"]], release)
                except _UNREADABLE as error:
                    bad += 1
                    log.warning("%s: a request that cannot be read: %s: %s", folder, type(error).__name__, error)
            if rows:
                target = capture / release / f"date={day}" / f"{deployment.name}.parquet"
                target.parent.mkdir(parents=True, exist_ok=True)
                pd.DataFrame(rows).to_parquet(target, index=False)
    return bad


def _day(folder: Path) -> date | None:
    try:
        return date(*(int(part) for part in folder.parts[-3:]))
    except ValueError:
        return None


def _inside(day: date, window: Window) -> bool:
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC)
    after_end = window.end is not None and begins >= window.end
    return not after_end and (window.start is None or begins + timedelta(days=1) > window.start)


def _events(folder: Path, day: date) -> Iterator[Mapping[str, Any]]:
    for file in sorted((folder / f"{day:%Y/%m/%d}").rglob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                    event["correlationid"]
                except _UNREADABLE as error:
                    log.warning("%s: a line that cannot be read: %s: %s", file, type(error).__name__, error)
                else:
                    yield event


def _rows(asked: Mapping[str, Any], answered: Mapping[str, Any], release: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one request, whose tensors are columns.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is no request of the V2 protocol, or it lies elsewhere.
    """
    tensors = {tensor["name"]: tensor["data"] for tensor in asked["data"]["inputs"]}
    predictions = answered["data"]["outputs"][0]["data"]
    own = {
        "request_id": asked["correlationid"],
        "time": pd.Timestamp(asked["time"]).tz_convert("UTC"),
        "release": release,
        "mirrored": False,
    }
    rows = zip(*tensors.values(), strict=True)
    for values, prediction in zip(rows, predictions, strict=True):
        yield {**own, **dict(zip(tensors, values, strict=True)), "prediction": float(prediction)}


if __name__ == "__main__":
    sys.exit(main())

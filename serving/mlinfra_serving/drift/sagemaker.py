"""The drift job in a container of SageMaker: `python -m mlinfra_serving.drift.sagemaker`.

SageMaker brings what it captured (`captured`), the release's baseline (`baseline`) and the thresholds (`thresholds`)
into folders, and takes what is in `reports`. Its records are JSON lines with the bodies of a request and its answer:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-results.html. Exit codes: 0 no drift or no
data, 1 drift, 2 the run could not be done; SageMaker calls all but 0 a failure.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mlinfra.problems import MlinfraError
from mlinfra_serving.drift.actions import parse_on_drift
from mlinfra_serving.drift.job import EXIT_CODES, EXIT_FAILED, Job, run
from mlinfra_serving.drift.result import parse_thresholds

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(prog="python -m mlinfra_serving.drift.sagemaker")
    parser.add_argument("--folder", required=True, type=Path)
    for name in ("endpoint", "release", "window", "on-drift"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    try:
        with tempfile.TemporaryDirectory(prefix="mlinfra-drift-") as scratch:
            capture = Path(scratch)
            keep(folder / "captured", capture, options.release)
            job = Job(
                endpoint=options.endpoint,
                baseline=folder / "baseline",
                capture=capture,
                release=options.release,
                thresholds=parse_thresholds(json.loads((folder / "thresholds" / "thresholds.json").read_text())),
                window=options.window,
                output=folder / "reports",
                on_drift=parse_on_drift(options.on_drift),
            )
            verdict = run(job, datetime.now(UTC)).verdict
    except (MlinfraError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    return EXIT_CODES[verdict] if verdict == "drift" else 0


def keep(captured: Path, capture: Path, release: str) -> int:
    """Write what SageMaker captured the way the server captures; return how many requests could not be read.

    Files are read one at a time, and each gives one Parquet file of its name by day.
    """
    bad = 0
    for file in sorted(captured.rglob("*.jsonl")):
        rows: list[dict[str, Any]] = []
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                rows += _rows(json.loads(line), release)
            except (ValueError, KeyError, TypeError, IndexError) as error:
                bad += 1
                log.warning("%s: a request that cannot be read: %s: %s", file, type(error).__name__, error)
        frame = pd.DataFrame(rows)
        for day, part in frame.groupby(frame["time"].dt.date) if rows else ():
            target = capture / release / f"date={day}" / f"{file.stem}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            part.to_parquet(target, index=False)
    return bad


def _rows(record: dict[str, Any], release: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one request.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is no request of the server's contract.
    """
    asked, answered = record["captureData"]["endpointInput"], record["captureData"]["endpointOutput"]
    about = record["eventMetadata"]
    moment = pd.Timestamp(about["inferenceTime"]).tz_convert("UTC")
    answer = json.loads(_text(answered))
    predictions = answer["outputs"][0]["data"]
    # the server's own id of the request is what its client knows, and a label names
    request_id = answer.get("id") or about.get("inferenceId") or about["eventId"]
    for values, prediction in zip(_inputs(asked), predictions, strict=True):
        own = {"request_id": request_id, "time": moment, "release": release, "mirrored": False}
        yield {**own, **values, "prediction": float(prediction)}


def _inputs(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the columns of each row: tensors of the V2 protocol, or CSV with a header."""
    if asked["observedContentType"].partition(";")[0].strip() == "text/csv":
        return [
            {name: _number(value) for name, value in row.items()} for row in csv.DictReader(io.StringIO(_text(asked)))
        ]
    tensors = {tensor["name"]: tensor["data"] for tensor in json.loads(_text(asked))["inputs"]}
    return [dict(zip(tensors, row, strict=True)) for row in zip(*tensors.values(), strict=True)]


def _text(captured: dict[str, Any]) -> str:
    data: str = captured["data"]
    return base64.b64decode(data).decode() if captured.get("encoding") == "BASE64" else data


def _number(value: str) -> float | str | None:
    if not value:
        return None
    try:
        return float(value)
    except ValueError:
        return value


if __name__ == "__main__":
    sys.exit(main())

"""The drift job in a custom job of Vertex AI: `python -m mlinfra_serving.drift.vertex`, told by variables.

Vertex AI writes a sample of requests and answers into a table of BigQuery, each as the text of its body, with columns
`logging_time`, `request_id`, `request_payload` and `response_payload`:
https://cloud.google.com/vertex-ai/docs/predictions/online-prediction-logging. An answer names the release that gave it.
Buckets are folders (`/gcs/…`). Exit codes: 0 no drift or no data, 1 drift, 2 the run could not be done.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mlinfra.problems import MlinfraError
from mlinfra_serving.drift.actions import parse_on_drift
from mlinfra_serving.drift.capture import Window, parse_window
from mlinfra_serving.drift.job import EXIT_CODES, EXIT_FAILED, LOCK_FILE, Job, run
from mlinfra_serving.drift.result import parse_thresholds

log = logging.getLogger(__name__)

DRIFTED = "mlinfra: drift"
"""What the alarm looks for in the log, with the monitor's name."""
_PREFIX = "MLINFRA_DRIFT_"
_SCHEME = "bq://"


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Measure one window, and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        told = {name: environ[_PREFIX + name] for name in _NEEDED}
        now = datetime.now(UTC)
        with tempfile.TemporaryDirectory(prefix="mlinfra-drift-") as scratch:
            capture, reports = Path(scratch) / "captured", Path(scratch) / "reports"
            capture.mkdir()
            keep(rows_of(told["CAPTURED"], parse_window(told["WINDOW"], now)), capture, told["RELEASE"])
            job = Job(
                endpoint=told["ENDPOINT"],
                baseline=Path(told["BASELINE"]),
                capture=capture,
                release=told["RELEASE"],
                thresholds=parse_thresholds(json.loads(told["THRESHOLDS"])),
                window=told["WINDOW"],
                output=reports,
                on_drift=parse_on_drift(told["ON_DRIFT"]),
            )
            verdict = run(job, now).verdict
            # a mounted bucket has no locks: what was written is put there when it is whole
            shutil.copytree(
                reports,
                told["OUTPUT"],
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns(LOCK_FILE),
                copy_function=_put,
            )
    except KeyError as error:
        sys.stderr.write(f"error: the variable {_PREFIX}{error.args[0].removeprefix(_PREFIX)} is not set\n")
        return EXIT_FAILED
    except (MlinfraError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    if verdict == "drift":
        log.warning("%s: %s", DRIFTED, told["MONITOR"])
    return EXIT_CODES[verdict] if verdict == "drift" else 0


_NEEDED = ("MONITOR", "RELEASE", "ENDPOINT", "CAPTURED", "BASELINE", "OUTPUT", "WINDOW", "ON_DRIFT", "THRESHOLDS")


def _put(source: str, target: str) -> str:
    return str(shutil.copyfile(source, target))


def rows_of(table: str, window: Window) -> Iterator[Mapping[str, Any]]:
    """Yield the rows that Vertex AI wrote into `bq://project.dataset.table` in a window; none before the first one.

    Raises:
        MlinfraError: BigQuery refused.
    """
    from google.api_core.exceptions import GoogleAPIError, NotFound
    from google.cloud import bigquery

    path = table.removeprefix(_SCHEME)
    limits = [("logging_time >= @since", window.start, "since"), ("logging_time < @until", window.end, "until")]
    asked = [limit for limit in limits if limit[1] is not None]
    where = f" WHERE {' AND '.join(limit[0] for limit in asked)}" if asked else ""
    columns = "logging_time, CAST(request_id AS STRING) AS request_id, request_payload, response_payload"
    parameters = [bigquery.ScalarQueryParameter(name, "TIMESTAMP", moment) for _, moment, name in asked]
    client = bigquery.Client(project=path.partition(".")[0])
    try:
        found = client.query_and_wait(
            f"SELECT {columns} FROM `{path}`{where}", job_config=bigquery.QueryJobConfig(query_parameters=parameters)
        )
        for row in found:
            yield dict(row)
    except NotFound:
        log.info("%s is not there yet: nothing was captured", table)
    except GoogleAPIError as error:
        raise MlinfraError(f"{table} cannot be read: {getattr(error, 'message', error)}") from error


def keep(captured: Iterable[Mapping[str, Any]], capture: Path, release: str) -> int:
    """Write what Vertex AI captured of a release the way the server captures; return how many could not be read."""
    rows: list[dict[str, Any]] = []
    bad = 0
    for record in captured:
        try:
            rows += _rows(record, release)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            bad += 1
            log.warning("a request that cannot be read: %s: %s", type(error).__name__, error)
    frame = pd.DataFrame(rows)
    for day, part in frame.groupby(frame["time"].dt.date) if rows else ():
        target = capture / release / f"date={day}" / "0.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(target, index=False)
    return bad


def _rows(record: Mapping[str, Any], release: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one request, if this release answered it.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is no request of the server's contract.
    """
    asked, answered = (json.loads("".join(record[name])) for name in ("request_payload", "response_payload"))
    if answered.get("model_version") != release:
        return
    moment = pd.Timestamp(record["logging_time"])
    moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    # the server's own id of the request is what its client knows, and a label names
    own = {
        "request_id": str(answered.get("id") or record["request_id"]),
        "time": moment,
        "release": release,
        "mirrored": False,
    }
    for values, prediction in zip(_inputs(asked), answered["outputs"][0]["data"], strict=True):
        yield {**own, **values, "prediction": float(prediction)}


def _inputs(asked: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the columns of each row: tensors of the V2 protocol, or Vertex AI's own instances."""
    if "instances" in asked:
        instances: list[dict[str, Any]] = asked["instances"]
        return instances
    tensors = {tensor["name"]: tensor["data"] for tensor in asked["inputs"]}
    return [dict(zip(tensors, row, strict=True)) for row in zip(*tensors.values(), strict=True)]


if __name__ == "__main__":
    sys.exit(main())

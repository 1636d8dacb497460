"""A gate's decision on 1,000,000 captured requests: from the files on disk to an answer.

Ten percent of the requests were the new release's, the rest the one's that serves; each has a label. They are read
from the Parquet files that capture writes (5,000 rows each), joined with the labels, and from Envoy's log as far
back as it is kept (two files of 20 MiB). Beside it stands the same decision on numbers that are in memory already.
Both are measured in this process, with all modules loaded.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as arrow  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
from measuring import Result, Spent, cpu, wall

from mlinfra import Endpoint, Rollout, auc, error_rate, p95_ms, p99_ms, rmse, serving
from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.check import Answer
from mlinfra.rollout.asking import Asking
from mlinfra.rollout.gates import evaluate
from mlinfra.rollout.samples import ReleaseSamples, Samples
from mlinfra.testing.specimens import MODEL
from mlinfra_providers.local.captured import labels_file
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.samples import samples
from mlinfra_providers.local.traffic import Traffic

REQUESTS = 1_000_000
ROUNDS = 5
AIM_SECONDS = 2.0
NEW, OLD = "3f9c2ab1d07e", "91d04e77aa10"
SHARES = {NEW: 0.1, OLD: 0.9}
PORTS = {NEW: 21001, OLD: 21002}
GATES = [
    p95_ms() <= 1.1 * serving(),
    p99_ms() <= 200,
    error_rate() <= serving(),
    auc() >= 0.98 * serving(),
    rmse() <= 1.05 * serving(),
]
_FILE_ROWS = 5_000
_LOG_BYTES = 20 << 20


def run() -> Iterator[Result]:
    """Measure the decision from files, and the one from numbers in memory."""
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(prefix="mlinfra-bench-") as name:
        layout, now = Layout(Path(name), "dev"), datetime.now(UTC)
        lines = _write(layout, now, random)
        rollout = Rollout(gates=GATES, label_delay="20s")
        part = ResolvedPart("s", "o", "s", "", Endpoint("api", model=MODEL, runtime="sklearn", rollout=rollout))
        since = now - timedelta(hours=1)

        def from_files() -> None:
            found = samples(layout, part, since, now)
            assert isinstance(found, Samples)
            labelled = sum(len(each.labels or ()) for each in found.releases.values())
            assert labelled == REQUESTS, f"{labelled} labelled requests"
            _decide(found)

        in_memory = Samples(since, now, {release: _numbers(release, random) for release in SHARES})
        files, memory = _spend(from_files), _spend(lambda: _decide(in_memory))
    with_log = f"{len(GATES)} gates, with labels and {lines:,} lines of log, from the files"
    yield Result(
        f"gates on {REQUESTS:,} captured requests",
        f"{wall(files):.2f} s ({cpu(files):.2f} s CPU) for {with_log}",
        f"{wall(memory):.2f} s ({cpu(memory):.2f} s CPU) where all numbers, with {REQUESTS:,} latencies, are in memory",
        f"{wall(files) / wall(memory):.1f}",
        f"≤ {AIM_SECONDS:g} s",
        wall(files) <= AIM_SECONDS,
    )


def _decide(found: Samples) -> None:
    results = evaluate(GATES, found, NEW, OLD, min_samples=100, ask=Asking(Path()))
    assert all(result.answer is not Answer.NO_DATA for result in results), results


def _spend(decide: Callable[[], None]) -> list[Spent]:
    decide()
    spent = []
    for _ in range(ROUNDS):
        started, used = time.perf_counter(), time.process_time()
        decide()
        spent.append(Spent(time.perf_counter() - started, time.process_time() - used))
    return spent


def _numbers(release: str, random: np.random.Generator) -> ReleaseSamples:
    count = int(REQUESTS * SHARES[release])
    labels = random.integers(0, 2, count).astype(float)
    return ReleaseSamples(
        requests=count,
        errors=count // 1000,
        latencies_ms=random.lognormal(2, 0.5, count),  # type: ignore[arg-type]
        predictions=np.clip(0.3 * labels + 0.7 * random.random(count), 0, 1),  # type: ignore[arg-type]
        labels=labels,  # type: ignore[arg-type]
        labelled_of=count,
    )


def _write(layout: Layout, now: datetime, random: np.random.Generator) -> int:
    """Write what a target has after these requests; return how many lines of log it still has."""
    traffic = Traffic(3, {NEW: 10, OLD: 90}, PORTS)
    for path in (layout.traffic("api"), layout.access_log("api")):
        path.parent.mkdir(parents=True)
    layout.traffic("api").write_text(json.dumps(traffic.to_json()), encoding="utf-8")
    known, ids = [], []
    for release, share in SHARES.items():
        count = int(REQUESTS * share)
        folder = layout.capture("api") / release / f"date={now:%Y-%m-%d}"
        folder.mkdir(parents=True)
        for first in range(0, count, _FILE_ROWS):
            labels = random.integers(0, 2, _FILE_ROWS).astype(float)
            names = [f"{release}-7c-429b-b89d-{first + row:012x}" for row in range(_FILE_ROWS)]
            known.append(labels)
            ids += names
            _capture(
                folder / f"{now - timedelta(minutes=5):%Y%m%dT%H%M%S}-{first:012x}.parquet", release, names, labels, now
            )
    parquet.write_table(arrow.table({"request_id": ids, "label": np.concatenate(known)}), labels_file(layout, "api"))
    return _log(layout.access_log("api"), now, random)


def _capture(path: Path, release: str, names: list[str], labels: np.ndarray, now: datetime) -> None:
    random = np.random.default_rng(len(path.name))
    count = len(names)
    columns = {
        "request_id": names,
        "time": arrow.array([now - timedelta(minutes=5)] * count, arrow.timestamp("us", tz="UTC")),
        "release": [release] * count,
        "mirrored": [False] * count,
        **{f"input_{number}": random.random(count) for number in range(8)},
        "prediction": np.clip(0.3 * labels + 0.7 * random.random(count), 0, 1),
    }
    parquet.write_table(arrow.table(columns), path, compression="zstd")


def _log(path: Path, now: datetime, random: np.random.Generator) -> int:
    lines = 0
    for minutes, place in ((5, path.with_name(f"{path.name}.1")), (2, path)):
        size = 0
        with place.open("w", encoding="utf-8") as file:
            while size < _LOG_BYTES:
                release = NEW if lines % 10 == 0 else OLD
                time_ = now - timedelta(minutes=minutes) + timedelta(microseconds=lines * 500)
                spent = int(1000 * random.lognormal(2, 0.5))
                status = 500 if lines % 997 == 0 else 200
                size += file.write(
                    f'{{"attempts":1,"bytes_in":203,"bytes_out":190,"duration_us":{spent + 400},"flags":"-",'
                    f'"method":"POST","path":"/v2/models/api/infer","release":"{release}",'
                    f'"request_id":"{lines:08x}-057c-429b-b89d-6d7843e16b3d","status":{status},'
                    f'"time":"{time_:%Y-%m-%dT%H:%M:%S.%fZ}","upstream":"127.0.0.1:{PORTS[release]}",'
                    f'"upstream_us":{spent}}}\n'
                )
                lines += 1
    return lines


if __name__ == "__main__":
    for result in run():
        sys.stdout.write(f"{result}\n")

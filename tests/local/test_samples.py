"""What the local target measures of releases: from Envoy's log, from captured requests, and from labels."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlinfra import Capture as Captures
from mlinfra import Check, Endpoint, Rollout, accuracy, auc, drift, error_rate, p95_ms, rmse, saturation, serving
from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.check import Answer
from mlinfra.problems import MlinfraError
from mlinfra.rollout.asking import Asking
from mlinfra.rollout.gates import evaluate
from mlinfra.rollout.samples import NoData, ReleaseSamples, Samples
from mlinfra.testing.specimens import MODEL
from mlinfra_providers.local.captured import labels_file, read_labels
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.programs import ProcessState
from mlinfra_providers.local.samples import add_labels, samples
from mlinfra_providers.local.supervisor import Supervisor
from mlinfra_providers.local.traffic import Traffic
from mlinfra_serving.capture import Capture
from mlinfra_serving.decoding import Request
from mlinfra_serving.drift import build_profile

NEW, OLD = "3f9c2ab1d07e", "91d04e77aa10"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TRAFFIC = Traffic(4, {NEW: 10, OLD: 90}, {NEW: 21001, OLD: 21002})
SIGNATURE: Any = {"inputs": [{"name": "wind", "type": "FP64", "required": True}], "outputs": []}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(tmp_path, "dev")
    put(found.traffic("api"), json.dumps(TRAFFIC.to_json()))
    return found


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def part(*gates: Check) -> ResolvedPart:
    rollout = Rollout(gates=gates, label_delay="1s")
    endpoint = Endpoint("api", model=MODEL, runtime="sklearn", capture=Captures(percent=100), rollout=rollout)
    return ResolvedPart("stack", "owner", "stack", "sha256:0", endpoint)


def line(seconds: float = 0, **changes: Any) -> str:
    """Return a line of Envoy's log, as Envoy writes it."""
    entry: dict[str, Any] = {
        "attempts": 1, "bytes_in": 203, "bytes_out": 190, "duration_us": 7682, "flags": "-", "method": "POST",
        "path": "/v2/models/api/infer", "release": OLD, "request_id": "d6ea46fc-5937-429b-b89d-6d7843e16b3d",
        "status": 200, "time": f"{NOON + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}",
        "upstream": "127.0.0.1:21002", "upstream_us": 7012,
    }  # fmt: skip
    return json.dumps(entry | changes, separators=(",", ":")) + "\n"


def log(layout: Layout, *lines: str) -> None:
    put(layout.access_log("api"), "".join(lines))


def measured(layout: Layout, *gates: Check, since: datetime = NOON - HOUR, until: datetime = NOON + HOUR) -> Samples:
    found = samples(layout, part(*gates), since, until)
    assert isinstance(found, Samples)
    return found


def counts(layout: Layout, **window: datetime) -> dict[str, tuple[int, int, int]]:
    """Return requests, errors and latencies of each release that has any."""
    found = measured(layout, **window).releases
    numbers = {name: (of.requests, of.errors, len(of.latencies_ms or ())) for name, of in found.items()}
    return {name: each for name, each in numbers.items() if any(each)}


# the access log


def test_answers_belong_to_the_release_that_gave_them(layout: Layout) -> None:
    log(
        layout,
        line(),
        line(release=NEW, upstream="127.0.0.1:21001", upstream_us=2500),
        line(status=500),
        line(status=400),
    )
    assert counts(layout) == {OLD: (3, 1, 3), NEW: (1, 0, 1)}
    assert list(measured(layout).releases[NEW].latencies_ms or ()) == [2.5]


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "GET", "path": "/v2/models/api/ready"},
        {"method": "POST", "path": "/v2/models/api/load"},
        {"status": 413, "release": None, "upstream": None},
        {"status": 0, "release": None, "upstream": None, "flags": "DC", "upstream_us": None},
    ],
)
def test_what_no_release_was_asked_does_not_count(layout: Layout, changes: dict[str, Any]) -> None:
    log(layout, line(**changes))
    assert counts(layout) == {}


@pytest.mark.parametrize(("status", "flags"), [(503, "URX,UF"), (504, "UT"), (0, "DC"), (503, "UC")])
def test_who_never_answered_has_an_error(layout: Layout, status: int, flags: str) -> None:
    dead: dict[str, Any] = {"release": None, "upstream_us": None, "attempts": 2}
    log(layout, line(status=status, flags=flags, upstream="127.0.0.1:21001", **dead), line())
    assert counts(layout) == {NEW: (1, 1, 0), OLD: (1, 0, 1)}


def test_where_nobody_could_be_reached_everybody_has_an_error(layout: Layout) -> None:
    log(layout, line(status=503, flags="UH", release=None, upstream=None, upstream_us=None))
    assert counts(layout) == {NEW: (1, 1, 0), OLD: (1, 1, 0)}


def test_a_release_that_another_stood_in_for_has_an_error(layout: Layout) -> None:
    log(layout, line(attempts=3), line(attempts=2))
    assert counts(layout) == {OLD: (2, 0, 2), NEW: (1, 1, 0)}


def test_a_window_has_its_start_and_not_its_end(layout: Layout) -> None:
    log(layout, *(line(second) for second in range(10)))
    assert counts(layout, since=NOON + timedelta(seconds=2), until=NOON + timedelta(seconds=5)) == {OLD: (3, 0, 3)}


def test_the_rotated_log_is_read_and_a_line_cut_in_two_by_it(layout: Layout) -> None:
    lines = "".join(line(second) for second in range(10))
    older = layout.access_log("api").with_name("api.jsonl.1")
    log(layout, lines[1000:])
    older.write_text(lines[:1000], encoding="utf-8")
    assert counts(layout) == {OLD: (10, 0, 10)}
    assert measured(layout).start == NOON, "what was before is not kept any more"
    assert measured(layout, since=NOON + timedelta(seconds=1)).start == NOON + timedelta(seconds=1)
    older.write_text(lines[20:1000], encoding="utf-8")
    assert counts(layout) == {OLD: (9, 0, 9)}
    assert measured(layout).start == NOON + timedelta(seconds=1)


def test_a_log_that_was_never_rotated_holds_the_whole_window(layout: Layout) -> None:
    log(layout, line())
    assert measured(layout).start == NOON - HOUR


def test_a_log_that_is_rotated_while_it_is_read_counts_once(layout: Layout) -> None:
    log(layout, line(), line())
    os.link(layout.access_log("api"), layout.access_log("api").with_name("api.jsonl.1"))
    assert counts(layout) == {OLD: (2, 0, 2)}


def test_what_is_no_whole_line_is_left_out(layout: Layout) -> None:
    log(layout, line(), "Envoy said something\n", "[]\n", "{}\n", line(status=None), "\xff\n", line(), line()[:100])
    assert counts(layout) == {OLD: (2, 0, 2)}


@pytest.mark.parametrize("late", [0.0, 59.0])
def test_only_the_end_of_a_long_log_is_read_and_nothing_of_the_window_is_missed(
    layout: Layout, late: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are in the order of ends: some began up to a minute before their neighbours."""
    monkeypatch.setattr("mlinfra_providers.local.access_log._SEARCHED_BYTES", 1000)
    random = np.random.default_rng(1)
    ends = np.sort(random.uniform(0, 7200, 20_000))
    begun = ends - random.uniform(0, late, len(ends)) * random.integers(0, 2, len(ends))
    log(layout, *(line(second) for second in begun))
    for since, until in ((3600, 3900), (0, 10), (7000, 9000), (-100, 7300), (8000, 9000)):
        window = {"since": NOON + timedelta(seconds=since), "until": NOON + timedelta(seconds=until)}
        # as the log says it: in microseconds
        expected = sum(since <= round(second, 6) < until for second in begun)
        assert counts(layout, **window).get(OLD, (0,))[0] == expected


def test_nothing_measured_is_said(layout: Layout, tmp_path: Path) -> None:
    assert samples(layout, part(), NOON, NOON + HOUR) == NoData("there is no access log of api yet")
    assert samples(Layout(tmp_path, "prod"), part(), NOON, NOON + HOUR) == NoData("api serves nothing yet")


# captured requests and labels


def capture(layout: Layout, release: str, rows: Sequence[tuple[str, float, float]], *, mirrored: bool = False) -> None:
    """Capture rows of (request id, input, prediction) as the server does."""
    writer = Capture(layout.capture("api"), release, 100, SIGNATURE)
    writer.start()
    for request_id, wind, prediction in rows:
        writer.offer(Request("", {"wind": [wind]}, 1, lambda answer: b""), request_id, [prediction], mirrored)
    writer.close()


def pending(layout: Layout, release: str, rows: Sequence[tuple[str, float, float]]) -> None:
    """Leave rows as they are before they become Parquet, the last one half written."""
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    head = json.dumps({"release": release, "inputs": SIGNATURE["inputs"]})
    lines = [
        json.dumps({"request_id": name, "time": now, "mirrored": False, "inputs": {"wind": wind}, "prediction": found})
        for name, wind, found in rows
    ]
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-0123456789ab"
    put(layout.capture("api") / release / f"pending-{stem}.jsonl", "\n".join([head, *lines, '{"request_id"']))


def now_measured(layout: Layout, release: str, *gates: Check) -> ReleaseSamples:
    log(layout)
    now = datetime.now(UTC)
    return measured(layout, *gates, since=now - HOUR, until=now + HOUR).releases[release]


def test_predictions_are_joined_with_their_labels(layout: Layout) -> None:
    capture(layout, NEW, [("a", 1.0, 0.25), ("b", 2.0, 0.5), ("c", 3.0, 0.75)])
    capture(layout, OLD, [("d", 1.0, 0.1)])
    pending(layout, NEW, [("e", 1.0, 0.9), ("f", 1.0, 0.8)])
    assert add_labels(layout, "api", {"c": 1.0, "a": 0.0, "e": 1.0, "unknown": 1.0}) == 4
    found = now_measured(layout, NEW, auc() >= 0.5)
    assert sorted(zip(found.predictions or (), found.labels or (), strict=True)) == [(0.25, 0), (0.75, 1), (0.9, 1)]
    assert found.labelled_of == 5
    assert len(now_measured(layout, OLD, auc() >= 0.5).labels or ()) == 0
    assert now_measured(layout, NEW).labels is None, "no gate asks for it"


def test_without_any_label_it_is_known_how_many_could_arrive(layout: Layout) -> None:
    capture(layout, NEW, [("a", 1.0, 0.25), ("b", 2.0, 0.5)])
    found = now_measured(layout, NEW, rmse() <= 1)
    assert (found.predictions, found.labels, found.labelled_of) == (None, None, 2)


def test_a_request_of_several_rows_has_no_label(layout: Layout) -> None:
    capture(layout, NEW, [("a", 1.0, 0.25), ("a", 2.0, 0.5), ("b", 3.0, 0.75)])
    add_labels(layout, "api", {"a": 1.0, "b": 0.0})
    found = now_measured(layout, NEW, rmse() <= 1)
    assert (list(found.predictions or ()), found.labelled_of) == ([0.75], 1)


def test_copies_count_only_for_a_release_that_gets_nothing_else(layout: Layout) -> None:
    capture(layout, NEW, [("a", 1.0, 0.25)], mirrored=True)
    add_labels(layout, "api", {"a": 1.0})
    assert now_measured(layout, NEW, rmse() <= 1).labelled_of == 0
    shadow = Traffic(5, {OLD: 100}, TRAFFIC.upstreams, mirror={NEW: 100})
    put(layout.traffic("api"), json.dumps(shadow.to_json()))
    found = now_measured(layout, NEW, rmse() <= 1)
    assert (list(found.labels or ()), found.labelled_of, found.requests) == ([1.0], 1, 0)


def test_rows_outside_the_window_do_not_count(layout: Layout) -> None:
    capture(layout, NEW, [("a", 1.0, 0.25)])
    add_labels(layout, "api", {"a": 1.0})
    log(layout)
    for since in (datetime.now(UTC) + timedelta(seconds=1), NOON - 48 * HOUR):
        found = measured(layout, rmse() <= 1, since=since, until=since + HOUR).releases[NEW]
        assert found.labelled_of == 0


def test_rows_that_became_parquet_meanwhile_count_once(layout: Layout) -> None:
    capture(layout, NEW, [("a", 1.0, 0.25)])
    [file] = layout.capture("api").glob(f"{NEW}/date=*/*.parquet")
    pending(layout, NEW, [("a", 1.0, 0.25)])
    [waiting] = layout.capture("api").glob(f"{NEW}/pending-*.jsonl")
    waiting.rename(waiting.with_name(f"pending-{file.stem}.jsonl"))
    assert now_measured(layout, NEW, rmse() <= 1).labelled_of == 1


def test_a_broken_capture_file_takes_nothing_else_with_it(layout: Layout) -> None:
    capture(layout, NEW, [("a", 1.0, 0.25)])
    [file] = layout.capture("api").glob(f"{NEW}/date=*/*.parquet")
    file.with_name("broken.parquet").write_bytes(b"PAR1")
    assert now_measured(layout, NEW, rmse() <= 1).labelled_of == 1


def test_the_last_label_counts_and_new_ones_are_counted(layout: Layout) -> None:
    assert add_labels(layout, "api", {"a": 0.0, "b": 1.0}) == 2
    assert add_labels(layout, "api", {"b": 0.0, "c": 1.0}) == 1
    assert add_labels(layout, "api", {"b": 0.0, "c": 1.0}) == 0
    assert add_labels(layout, "api", {}) == 0
    labels = read_labels(layout, "api")
    assert labels is not None
    assert dict(sorted(zip(labels["request_id"].to_pylist(), labels["label"].to_pylist(), strict=True))) == {
        "a": 0.0, "b": 0.0, "c": 1.0,
    }  # fmt: skip


def test_two_at_once_lose_nothing(layout: Layout) -> None:
    counted: list[int] = []

    def add(worker: int) -> None:
        counted.extend(add_labels(layout, "api", {f"{worker}-{turn}": 1.0, "shared": 0.0}) for turn in range(10))

    threads = [threading.Thread(target=add, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted) == 41
    labels = read_labels(layout, "api")
    assert labels is not None
    assert labels.num_rows == 41


def test_damaged_labels_are_said_and_stop_no_other_gate(layout: Layout) -> None:
    add_labels(layout, "api", {"a": 1.0})
    labels_file(layout, "api").write_bytes(b"half")
    with pytest.raises(MlinfraError, match="is damaged"):
        add_labels(layout, "api", {"b": 1.0})
    assert labels_file(layout, "api").read_bytes() == b"half"
    capture(layout, NEW, [("a", 1.0, 0.25)])
    assert now_measured(layout, NEW, rmse() <= 1).labels is None


# drift and saturation


def monitor(layout: Layout, thresholds: dict[str, Any]) -> None:
    rows = pd.DataFrame({"wind": np.random.default_rng(1).normal(10, 2, 5000), "prediction": 0.5})
    for release in (NEW, OLD):
        folder = layout.monitor("drift") / "baselines" / release
        folder.mkdir(parents=True)
        build_profile(rows).write(folder / "profile.json")
    put(layout.monitor("drift") / "schedule.json", json.dumps({"endpoint": "api", "thresholds": thresholds}))


def winds(layout: Layout, release: str, mean: float, count: int) -> None:
    values = np.random.default_rng(2).normal(mean, 2, count)
    capture(layout, release, [(f"{release}-{number}", value, 0.5) for number, value in enumerate(values.tolist())])


def test_drifted_columns_are_counted_by_the_measures_of_the_monitor(layout: Layout) -> None:
    assert now_measured(layout, NEW, drift()).drifted_columns is None, "there is no monitor"
    monitor(layout, {"wind": {"metric": "js_divergence", "operator": "<=", "value": 0.1}})
    winds(layout, NEW, 20, 800)
    winds(layout, OLD, 10, 800)
    assert now_measured(layout, NEW, drift()).drifted_columns == 1
    assert now_measured(layout, OLD, drift()).drifted_columns == 0
    assert now_measured(layout, NEW).drifted_columns is None, "no gate asks for it"


def test_too_few_rows_are_no_quiet(layout: Layout) -> None:
    monitor(layout, {"wind": {"metric": "js_divergence", "operator": "<=", "value": 0.1}})
    assert now_measured(layout, NEW, drift()).drifted_columns is None
    winds(layout, NEW, 10, 5)
    assert now_measured(layout, NEW, drift()).drifted_columns is None


def test_a_threshold_for_a_column_that_is_not_there_is_no_quiet(layout: Layout) -> None:
    monitor(layout, {"rain": {"metric": "js_divergence", "operator": "<=", "value": 0.1}})
    winds(layout, NEW, 10, 800)
    assert now_measured(layout, NEW, drift()).drifted_columns is None


def test_saturation_is_the_share_of_the_servers_cpus(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def status(_: Any) -> dict[str, ProcessState]:
        names = {f"server/api/{NEW}-0a1b2c": os.getpid(), f"server/other/{OLD}-0a1b2c": os.getpid()}
        return {name: ProcessState(name, "RUNNING", pid, 1, None, "", Path()) for name, pid in names.items()}

    monkeypatch.setattr(Supervisor, "status", status)
    stop = threading.Event()
    busy = threading.Thread(target=lambda: [None for _ in iter(stop.is_set, True)])
    busy.start()
    try:
        found = now_measured(layout, NEW, saturation() <= 0.8).saturation
    finally:
        stop.set()
        busy.join()
    assert found is not None
    assert found > 0.05
    assert now_measured(layout, OLD, saturation() <= 0.8).saturation is None


# all of it


def test_gates_are_answered_from_what_the_target_measures(layout: Layout) -> None:
    gates = [p95_ms() <= 1.1 * serving(), error_rate() <= 0.01, accuracy() >= serving()]
    slow = {"release": NEW, "upstream": "127.0.0.1:21001", "upstream_us": 50_000}
    now = (datetime.now(UTC) - NOON).total_seconds()
    log(layout, *(line(now) for _ in range(900)), *(line(now, **slow) for _ in range(200)))
    for release, right in ((NEW, 0.5), (OLD, 0.9)):
        rows = [(f"{release}-{n}", 1.0, 1.0 if n / 200 < right else 0.0) for n in range(200)]
        capture(layout, release, rows)
        add_labels(layout, "api", {name: 1.0 for name, _, _ in rows})
    found = measured(layout, *gates, since=NOON - HOUR, until=datetime.now(UTC) + HOUR)
    results = evaluate(gates, found, NEW, OLD, min_samples=100, ask=Asking(layout.repository))
    assert [result.answer for result in results] == [Answer.FAIL, Answer.PASS, Answer.FAIL]
    assert [result.measured for result in results] == [50, 0, 0.5]
    assert [result.against for result in results] == [pytest.approx(7.012), None, 0.9]

"""Capture: what was sent is what is kept, once, whatever happens to the process or the disk."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from mlinfra_serving.capture import Capture, sampled
from mlinfra_serving.decoding import Request
from mlinfra_serving.pending import convert
from mlinfra_serving.signature import Signature

RELEASE = "3f9c2ab1d07e"
SIGNATURE: Signature = {
    "inputs": [
        {"name": "hour", "type": "FP64", "required": True},
        {"name": "dest", "type": "BYTES", "required": False},
        {"name": "flight", "type": "INT64", "required": False},
        {"name": "late", "type": "BOOL", "required": False},
    ],
    "outputs": [{"name": "prediction", "type": "FP64"}],
}
Body = Callable[..., dict[str, Any]]


def request(*hours: float) -> Request:
    columns: dict[str, list[Any]] = {
        "hour": list(hours),
        "dest": ["Å\n", None, "b"][: len(hours)],
        "flight": [2**62, None, 3][: len(hours)],
        "late": [True, None, False][: len(hours)],
    }
    return Request("", columns, len(hours), lambda answer: b"")


def kept(folder: Path) -> pd.DataFrame:
    files = sorted(folder.glob("date=*/*.parquet"))
    frames: list[pd.DataFrame] = [pq.ParquetFile(file).read().to_pandas() for file in files]
    return pd.concat(frames, ignore_index=True)


def test_the_sample_is_the_same_everywhere_and_of_the_right_size() -> None:
    ids = [f"request-{number}" for number in range(20_000)]
    first = [sampled(request_id, 20) for request_id in ids]
    assert first == [sampled(request_id, 20) for request_id in ids]
    # five standard deviations of a binomial share
    assert abs(np.mean(first) - 0.2) < 5 * (0.2 * 0.8 / len(ids)) ** 0.5
    assert not any(sampled(request_id, 0) for request_id in ids)
    assert all(sampled(request_id, 100) for request_id in ids)
    # a larger share holds the smaller one: a change of the percentage does not change who is in it
    assert all(sampled(request_id, 50) for request_id, chosen in zip(ids, first, strict=True) if chosen)


def test_rows_are_kept_with_their_types(tmp_path: Path) -> None:
    capture = Capture(tmp_path, "r", 100, SIGNATURE)
    capture.start()
    capture.offer(request(1, 2.5, 2**60), "a", [0.1, 0.2, float("nan")], False)
    capture.offer(request(4), "b", [0.4], True)
    capture.close()
    assert not list(tmp_path.glob("r/pending-*"))
    schema = pq.read_schema(next(tmp_path.glob("r/date=*/*.parquet")))
    assert {field.name: str(field.type) for field in schema} == {
        "request_id": "string",
        "time": "timestamp[us, tz=UTC]",
        "release": "string",
        "mirrored": "bool",
        "hour": "double",
        "dest": "string",
        "flight": "int64",
        "late": "bool",
        "prediction": "double",
    }
    table = pq.ParquetFile(next(tmp_path.glob("r/date=*/*.parquet"))).read().to_pydict()
    assert table["request_id"] == ["a", "a", "a", "b"]
    assert table["mirrored"] == [False, False, False, True]
    assert table["hour"] == [1.0, 2.5, 2.0**60, 4.0]
    assert table["dest"] == ["Å\n", None, "b", "Å\n"]
    assert table["flight"] == [2**62, None, 3, 2**62]
    assert table["late"] == [True, None, False, True]
    assert table["prediction"] == [0.1, 0.2, None, 0.4]


def pending_of_two_days(folder: Path) -> Path:
    path = folder / "r" / "pending-x.jsonl"
    path.parent.mkdir()
    lines = ['{"release":"r","inputs":[{"name":"hour","type":"FP64"}]}']
    for number, microseconds in enumerate((1_767_225_599_999_999, 1_767_225_600_000_000)):
        row = {"request_id": str(number), "time": microseconds, "mirrored": False}
        lines.append(json.dumps(row | {"inputs": {"hour": number}, "prediction": 0.5}))
    path.write_text("\n".join(lines) + '\n{"request_id":"cut o')
    return path


def test_converting_twice_gives_every_row_once_and_each_day_its_file(tmp_path: Path) -> None:
    path = pending_of_two_days(tmp_path)
    assert [convert(path), convert(path)] == [2, 2]
    assert kept(tmp_path / "r")["request_id"].tolist() == ["0", "1"]
    assert sorted(found.parent.name for found in tmp_path.rglob("*.parquet")) == ["date=2025-12-31", "date=2026-01-01"]
    assert not list(tmp_path.rglob("*.partial"))


def test_what_a_killed_process_of_another_release_left_is_converted_but_not_what_a_live_one_writes(
    tmp_path: Path,
) -> None:
    left = pending_of_two_days(tmp_path)
    live = Capture(tmp_path, "live", 100, SIGNATURE)
    live.start()
    live.offer(request(1), "a", [0.1], False)
    wait_for(lambda: bool(list(tmp_path.glob("live/pending-*"))))
    other = Capture(tmp_path, "other", 100, SIGNATURE)
    other.start()
    other.close()
    assert not left.exists()
    assert len(kept(tmp_path / "r")) == 2
    assert len(list(tmp_path.glob("live/pending-*"))) == 1
    live.close()
    assert len(kept(tmp_path / "live")) == 1


def test_an_unreadable_pending_file_is_set_aside(tmp_path: Path) -> None:
    path = pending_of_two_days(tmp_path)
    damaged = path.read_text().replace('"hour": 1', '"hour": "one"')
    path.rename(path.with_name("pending-z.jsonl")).write_text(damaged)
    (tmp_path / "r" / "pending-x.jsonl").write_text("not a capture\n")
    (tmp_path / "r" / "pending-y.jsonl").write_text("")
    capture = Capture(tmp_path, "r", 100, SIGNATURE)
    capture.start()
    capture.close()
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["unreadable-x.jsonl", "unreadable-z.jsonl"]


def test_a_disk_that_cannot_be_written_drops_rows_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from mlinfra_serving.metrics import CAPTURE_DROPPED

    in_the_way = tmp_path / "file"
    in_the_way.touch()
    before = CAPTURE_DROPPED._value.get()
    capture = Capture(in_the_way, "r", 100, SIGNATURE)
    capture.start()
    for number in range(50):
        capture.offer(request(1, 2), str(number), [0.1, 0.2], False)
    capture.close()
    assert CAPTURE_DROPPED._value.get() - before == 100
    assert len([record for record in caplog.records if "not captured" in record.message]) == 1


def test_a_full_queue_drops_instead_of_waiting(tmp_path: Path) -> None:
    from mlinfra_serving.metrics import CAPTURE_DROPPED

    before = CAPTURE_DROPPED._value.get()
    # its thread is never started: nothing empties the queue
    capture = Capture(tmp_path, "r", 100, SIGNATURE)
    many = Request(
        "", {name: [None] * 20_000 for name in ("hour", "dest", "flight", "late")}, 20_000, lambda answer: b""
    )
    for _ in range(3):
        capture.offer(many, "a", [0.0] * 20_000, False)
    assert CAPTURE_DROPPED._value.get() - before == 20_000


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.local
def test_after_kill_9_the_next_start_keeps_every_sampled_row_once(
    serve: Any, sklearn_artifact: Any, body_of: Body, tmp_path: Path
) -> None:
    folder = tmp_path / "capture"
    options = {"capture_dir": folder, "capture_percent": 50}
    first = serve(sklearn_artifact, **options)
    rows = sklearn_artifact.frame.head(3)
    ids = [f"request-{number}" for number in range(40)]
    chosen = [request_id for request_id in ids if sampled(request_id, 50)]
    answers = {}
    for number, request_id in enumerate(ids):
        host = {"host": "models-shadow:8080"} if number % 2 else {}
        response = first.infer(body_of(rows, id=request_id), **host)
        answers[request_id] = response.json()["outputs"][0]["data"]
    assert first.infer({"inputs": []}).status_code == 400
    wait_for(lambda: first.metric("mlinfra_captured_rows_total") == 3 * len(chosen))
    first.end(signal.SIGKILL)
    assert list(folder.glob(f"{RELEASE}/pending-*.jsonl"))

    second = serve(sklearn_artifact, **options)
    assert second.infer(body_of(rows.head(1), id=chosen[0] + "-later")).status_code == 200
    assert second.end() == 0
    assert not list(folder.glob(f"{RELEASE}/pending-*.jsonl"))
    frame = kept(folder / RELEASE)
    frame = frame[~frame["request_id"].str.endswith("-later")]
    assert Counter(frame["request_id"]) == dict.fromkeys(chosen, 3)
    for request_id in chosen:
        of_request = frame[frame["request_id"] == request_id]
        expected = rows.assign(dep_hour=rows["dep_hour"].astype(float)).reset_index(drop=True)
        pd.testing.assert_frame_equal(of_request[list(rows.columns)].reset_index(drop=True), expected)
        assert of_request["prediction"].tolist() == answers[request_id]
        assert of_request["mirrored"].unique().tolist() == [ids.index(request_id) % 2 == 1]
        assert of_request["release"].unique().tolist() == [RELEASE]

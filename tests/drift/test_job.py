"""The job end to end: captured Parquet in, results, page, actions and exit code out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock

from mlinfra.problems import MlinfraError
from mlinfra_serving.drift import build_profile, job
from mlinfra_serving.drift.capture import Window, parse_window, read_capture

RELEASE = "3f9c2ab1"
TEMP = {"temp": {"metric": "js_divergence", "operator": "<=", "value": 0.1}}
ORIGIN = {"origin": {"metric": "linf", "operator": "<=", "value": 0.1}}
JULY = "2013-07-01..2013-08-01"


@pytest.fixture
def run(tmp_path: Path, baseline: Path, captured: Path) -> Callable[..., int]:
    def start(*more: str, window: str = JULY, thresholds: Any = TEMP, folder: Path = captured) -> int:
        return job.main(
            [
                "--endpoint", "flight-delay", "--baseline", str(baseline), "--capture", str(folder),
                "--release", RELEASE, "--thresholds", json.dumps(thresholds), "--window", window,
                "--output", str(tmp_path / "out"), *more,
            ]
        )  # fmt: skip

    return start


def latest(tmp_path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((tmp_path / "out" / "latest.json").read_text(encoding="utf-8"))
    return document


def test_july_drifts(run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(thresholds=TEMP | ORIGIN) == 1
    document = latest(tmp_path)
    assert document["version"] == 1
    assert document["verdict"] == "drift"
    assert document["drifted_columns"] == 1
    assert document["rows"] == 2216
    assert document["window"] == {"start": "2013-07-01T00:00:00+00:00", "end": "2013-08-01T00:00:00+00:00"}
    verdicts = {column["column"]: column["verdict"] for column in document["columns"]}
    assert verdicts["temp"] == "drift"
    assert verdicts["origin"] == "ok"
    assert verdicts["prediction"] is None
    assert not set(verdicts) & {"request_id", "time", "release", "mirrored"}
    assert document["unknown_columns"] == []
    assert [path.read_text() for path in (tmp_path / "out").glob("2*.json")] == [
        (tmp_path / "out" / "latest.json").read_text()
    ]
    page = (tmp_path / "out" / "latest.html").read_text(encoding="utf-8")
    assert "Drift in 1 of 2 watched columns: temp" in page
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "flight-delay, release 3f9c2ab1: drift"
    assert lines[1].split() == ["column", "measure", "value", "floor", "threshold", "verdict", "rows"]
    assert lines[2].split()[:2] == ["temp", "js_divergence"]
    assert lines[2].split()[4:] == ["<=", "0.1", "drift", "2216"]


def test_winter_does_not(run: Callable[..., int], tmp_path: Path) -> None:
    assert run(window="2013-02-01..2013-04-01", thresholds=ORIGIN) == 0
    assert latest(tmp_path)["verdict"] == "ok"


def test_everything_is_read_with_all(run: Callable[..., int], tmp_path: Path) -> None:
    assert run(window="all", thresholds=ORIGIN) == 0
    assert latest(tmp_path)["window"] == {"start": None, "end": None}
    assert latest(tmp_path)["rows"] > 6000


@pytest.mark.parametrize("window", ["1h", "2013-07-01..2013-07-01T03:00:00Z"])
def test_too_few_requests_are_no_data(run: Callable[..., int], tmp_path: Path, window: str) -> None:
    assert run(window=window) == 4
    assert latest(tmp_path)["verdict"] == "no data"
    assert latest(tmp_path)["drifted_columns"] is None


def test_a_release_that_was_never_asked_is_no_data(run: Callable[..., int], tmp_path: Path) -> None:
    assert run(folder=tmp_path / "nothing") == 4
    assert latest(tmp_path)["rows"] == 0
    assert "no requests in the window" in (tmp_path / "out" / "latest.html").read_text()


def test_broken_files_are_skipped_and_named(
    capture: Callable[..., None],
    run: Callable[..., int],
    tmp_path: Path,
    july: pd.DataFrame,
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = pd.Series(pd.date_range("2013-07-02", periods=len(july), freq="s"))
    capture(tmp_path / "c", july, times)
    day = tmp_path / "c" / RELEASE / "date=2013-07-02"
    (day / "half.parquet").write_bytes((day / "a.parquet").read_bytes()[:2000])
    (day / "empty.parquet").write_bytes(b"")
    pd.DataFrame({"x": [1]}).to_parquet(day / "other.parquet")
    (day / "pending-1.jsonl").write_text("{}")
    assert run(folder=tmp_path / "c") == 1
    document = latest(tmp_path)
    assert document["rows"] == len(july)
    names = sorted(Path(name).name for name in document["unreadable_files"])
    assert names == ["empty.parquet", "half.parquet", "other.parquet"]
    assert "skipped captured file" in caplog.text
    assert "half.parquet" in (tmp_path / "out" / "latest.html").read_text()


def test_mirrored_rows_do_not_count(
    capture: Callable[..., None], run: Callable[..., int], tmp_path: Path, winter: pd.DataFrame, july: pd.DataFrame
) -> None:
    times = pd.Series(pd.date_range("2013-07-02", periods=len(winter), freq="s"))
    capture(tmp_path / "c", winter, times)
    capture(tmp_path / "c", july, times[: len(july)], mirrored=True, name="mirror")
    assert run(folder=tmp_path / "c") == 0
    assert latest(tmp_path)["rows"] == len(winter)
    assert latest(tmp_path)["mirrored_rows_excluded"] == len(july)


def test_the_end_of_a_window_is_not_included(capture: Callable[..., None], tmp_path: Path) -> None:
    times = pd.Series(["2013-06-30T23:59:59.999999", "2013-07-01", "2013-07-01T12:00", "2013-07-02"])
    capture(tmp_path, pd.DataFrame({"x": [1, 2, 3, 4]}), times)
    window = parse_window("2013-07-01..2013-07-02", datetime.now(UTC))
    assert read_capture(tmp_path, RELEASE, window).frame["x"].tolist() == [2, 3]
    now = datetime(2013, 7, 1, 12, 30, tzinfo=UTC)
    assert read_capture(tmp_path, RELEASE, parse_window("1h", now)).frame["x"].tolist() == [3]
    zone = parse_window("2013-07-01T14:00:00+02:00..2013-07-01T14:00:01+02:00", now)
    assert read_capture(tmp_path, RELEASE, zone).frame["x"].tolist() == [3]


def test_a_request_before_midnight_that_was_written_after_it_is_found(
    capture: Callable[..., None], tmp_path: Path
) -> None:
    capture(tmp_path, pd.DataFrame({"x": [1]}), pd.Series(pd.to_datetime(["2013-07-01 23:59:59"])))
    day = tmp_path / RELEASE / "date=2013-07-01"
    day.rename(day.with_name("date=2013-07-02"))
    window = parse_window("2013-07-01T23:00..2013-07-01T23:59:59.5", datetime.now(UTC))
    assert len(read_capture(tmp_path, RELEASE, window).frame) == 1


def test_days_far_from_the_window_are_not_opened(tmp_path: Path) -> None:
    day = tmp_path / RELEASE / "date=2013-01-01"
    day.mkdir(parents=True)
    (day / "a.parquet").write_bytes(b"broken")
    captured = read_capture(tmp_path, RELEASE, parse_window(JULY, datetime.now(UTC)))
    assert captured.files == 0
    assert read_capture(tmp_path, RELEASE, Window(None, None)).unreadable


def test_files_of_unlike_types_are_read_together(capture: Callable[..., None], tmp_path: Path) -> None:
    times = pd.Series(pd.to_datetime(["2013-07-01", "2013-07-01"]))
    for name, values in (("a", [None, None]), ("b", [1.5, None]), ("c", [1, 2]), ("d", ["2.5", None])):
        capture(tmp_path, pd.DataFrame({"x": pd.Series(values)}), times, name=name)
    frame = read_capture(tmp_path, RELEASE, Window(None, None)).frame
    profile = build_profile(pd.DataFrame({"x": [1.0, 1.5, 2.0, 2.5]}))
    assert profile.columns["x"].count(frame["x"]).counts[-1] == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"window": "yesterday"}, "'yesterday' is not a window"),
        ({"window": "2013-08-01..2013-07-01"}, "ends before it starts"),
        ({"thresholds": {"tmep": TEMP["temp"]}}, "did you mean 'temp'?"),
        ({"thresholds": {"temp": {"metric": "kl", "operator": "<=", "value": 1}}}, "unknown measure 'kl'"),
    ],
)
def test_wrong_use_is_exit_2_with_the_way_out(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], more: dict[str, Any], message: str
) -> None:
    assert run(**more) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--every", "soon"], "--every 'soon'"),
        (["--on-drift", "email"], "nothing to do on drift"),
        (["--on-drift", "webhook:ftp://x/secret"], "not an http or https URL"),
        (["--on-drift", "webhook:http://x:port/secret"], "not an http or https URL"),
        (["--on-drift", "webhook:http://[secret"], "not an http or https URL"),
        (["--on-drift", "webhook:$MLINFRA_NOT_SET"], "MLINFRA_NOT_SET, which is not set"),
        (["--thresholds", "{"], "not JSON"),
        (["--baseline", "/nowhere"], "neither profile.json nor rows.parquet"),
        (["--evidently"], "pip install 'mlinfra-toolkit[evidently]'"),
    ],
)
def test_wrong_arguments_are_exit_2(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "evidently", None)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "secret" not in error


def test_old_results_make_room(run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "KEPT_RESULTS", 2)
    for _ in range(4):
        run()
    assert len(list((tmp_path / "out").glob("2*.json"))) == 2
    assert latest(tmp_path)["verdict"] == "drift"


def test_one_run_at_a_time(run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "LOCK_SECONDS", 0.1)
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / job.LOCK_FILE):
        assert run() == 2
        assert not (tmp_path / "out" / "latest.json").exists()
    assert run() == 1


def test_the_job_blocks_and_lifts(run: Callable[..., int], tmp_path: Path) -> None:
    assert run("--on-drift", "block-promotion") == 1
    assert (tmp_path / "out" / "blocked.json").exists()
    assert run("--on-drift", "block-promotion", window="1h") == 4
    assert (tmp_path / "out" / "blocked.json").exists()
    assert run("--on-drift", "block-promotion", window="2013-02-01..2013-04-01") == 0
    assert not (tmp_path / "out" / "blocked.json").exists()


def test_captured_requests_may_lie_in_a_store(capture: Callable[..., None], tmp_path: Path) -> None:
    times = pd.Series(pd.to_datetime(["2013-06-20", "2013-07-01"]))
    capture(tmp_path, pd.DataFrame({"x": [1, 2]}), times)
    window = parse_window(JULY, datetime.now(UTC))
    assert read_capture(f"file://{tmp_path}", RELEASE, window).frame["x"].tolist() == [2]
    assert read_capture(f"file://{tmp_path}/never", RELEASE, window).files == 0
    with pytest.raises(MlinfraError, match="cannot be read"):
        read_capture("unheard://of", RELEASE, window)

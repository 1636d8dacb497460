"""What is captured is copied to a store, and a store that fails costs nothing but the copy."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlinfra_serving import shipping as module
from mlinfra_serving.capture import Capture
from mlinfra_serving.decoding import Request
from mlinfra_serving.shipping import Shipping
from mlinfra_serving.signature import Signature

SIGNATURE: Signature = {
    "inputs": [{"name": "hour", "type": "FP64", "required": True}],
    "outputs": [{"name": "prediction", "type": "FP64"}],
}


def request(hour: float) -> Request:
    return Request("", {"hour": [hour]}, 1, lambda answer: b"")


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("*/*/*.parquet")}


def captured(folder: Path, store: Path, *hours: float, moves: bool = False) -> None:
    capture = Capture(folder, "r", 100, SIGNATURE, Shipping(folder, store.as_uri(), moves=moves))
    capture.start()
    for hour in hours:
        capture.offer(request(hour), f"id-{hour:g}", [hour], False)
    capture.close()


def test_what_is_captured_is_in_the_store_when_the_server_has_ended(tmp_path: Path) -> None:
    folder, store = tmp_path / "capture", tmp_path / "store"
    captured(folder, store, 1, 2)
    assert names(store) == names(folder) != set()
    (name,) = names(store)
    assert (store / name).read_bytes() == (folder / name).read_bytes()


def test_what_is_moved_stays_nowhere_else(tmp_path: Path) -> None:
    folder, store = tmp_path / "capture", tmp_path / "store"
    captured(folder, store, 1, 2, moves=True)
    assert (len(names(store)), names(folder)) == (1, set())


def test_what_a_killed_process_did_not_copy_is_copied_at_the_next_start(tmp_path: Path) -> None:
    folder, store = tmp_path / "capture", tmp_path / "store"
    left = folder / "other" / f"date={datetime.now(UTC):%Y-%m-%d}" / "left.parquet"
    old = folder / "other" / "date=2020-01-01" / "old.parquet"
    for path in (left, old):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"rows")
    captured(folder, store, 1)
    captured(folder, store, 2)
    assert names(store) == names(folder) - {"other/date=2020-01-01/old.parquet"}
    assert len(names(store)) == 3


def test_a_store_that_fails_is_told_once_and_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.05)
    folder, store = tmp_path / "capture", tmp_path / "store"
    store.write_text("a file, and no folder")
    path = folder / "r" / "date=2020-01-01" / "one.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rows")
    with caplog.at_level(logging.WARNING, "mlinfra.serving.capture"):
        shipping = Shipping(folder, store.as_uri())
        shipping.start()
        shipping.offer(path)
        until(lambda: caplog.messages)
        time.sleep(0.2)
        assert len(caplog.messages) == 1
        assert "are not copied to" in caplog.messages[0]
    store.unlink()
    until(lambda: names(store))
    shipping.close()


def test_the_end_does_not_wait_for_a_store_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = tmp_path / "capture", tmp_path / "store"
    store.write_text("a file, and no folder")
    begun = time.monotonic()
    captured(folder, store, 1)
    assert time.monotonic() - begun < module.CLOSE_SECONDS
    assert names(folder), "the rows stay where they are"

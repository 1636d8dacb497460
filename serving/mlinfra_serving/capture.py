"""Capture: a sample of the requests and answers, kept as Parquet for drift monitoring and retraining.

    <folder>/<release>/pending-<stem>.jsonl              rows as they come; survives a kill
    <folder>/<release>/date=YYYY-MM-DD/<stem>.parquet    the same rows, every 10 seconds or 5,000 rows

A pending file names its release and columns in its first line, is locked while its process lives, and gives
Parquet files of its own stem: whoever converts it, and however often, no row is there twice. Files of killed
processes are converted at the next start, of whatever release.

Serving never waits for any of this: rows go through a bounded queue to a thread, and are dropped and counted when
the queue or the disk is full.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import queue
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from mlinfra_serving import metrics
from mlinfra_serving.decoding import Request
from mlinfra_serving.pending import convert, files_of
from mlinfra_serving.shipping import Shipping
from mlinfra_serving.signature import Signature

_QUEUE_ROWS = 50_000
_FILE_ROWS = 5_000
_FILE_SECONDS = 10.0
_WRITE_REQUESTS = 500
_logger = logging.getLogger("mlinfra.serving.capture")


@dataclass(frozen=True)
class _Captured:
    request: Request
    request_id: str
    predictions: list[float]
    mirrored: bool
    time: int


def sampled(request_id: str, percent: float) -> bool:
    """Return whether a request belongs to the sample: the same id gives the same answer in every process.

    The first 64 bits of the id's BLAKE2b digest, as a fraction of 2^64, are below `percent` (0 to 100) / 100.
    """
    fraction = int.from_bytes(hashlib.blake2b(request_id.encode(), digest_size=8).digest(), "big") / 2**64
    return fraction < percent / 100


class Capture:
    """Writes what `offer` is given. `start` and `close` are called once each; `offer` from one thread at a time."""

    def __init__(
        self, folder: Path, release: str, percent: float, signature: Signature, shipping: Shipping | None = None
    ) -> None:
        self._shipping = shipping
        self._root = folder
        self._folder = folder / release
        self._release = release
        self._percent = percent
        self._header = orjson.dumps({"release": release, "inputs": signature["inputs"]}) + b"\n"
        self._queue: queue.SimpleQueue[_Captured | None] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._file: _PendingFile | None = None
        self._unconverted: list[_PendingFile] = []
        self._failing = False

    def start(self) -> None:
        """Start the thread; it converts what killed processes have left, then waits for rows."""
        if self._shipping is not None:
            self._shipping.start()
        self._thread.start()

    def close(self) -> None:
        """Write what is queued, convert it to Parquet, and end the thread."""
        self._queue.put(None)
        self._thread.join()
        if self._shipping is not None:
            self._shipping.close()

    def offer(self, request: Request, request_id: str, predictions: list[float], mirrored: bool) -> None:
        """Queue the request's rows if it belongs to the sample and there is room. Never waits, never raises."""
        if not sampled(request_id, self._percent):
            return
        with self._lock:
            fits = self._waiting + request.rows <= _QUEUE_ROWS
            self._waiting += request.rows if fits else 0
        if fits:
            self._queue.put(_Captured(request, request_id, predictions, mirrored, time.time_ns() // 1000))
        else:
            self._dropped(request.rows, "the queue is full")

    def _run(self) -> None:
        for path in sorted(self._root.glob("*/pending-*.jsonl")):
            self._guarded(lambda path=path: self._recover(path))
        open_until = time.monotonic() + _FILE_SECONDS
        ending = False
        while not ending:
            batch = self._next(max(0.0, open_until - time.monotonic()))
            ending = bool(batch) and batch[-1] is None
            rows = [captured for captured in batch if captured is not None]
            if rows:
                self._guarded(lambda rows=rows: self._write(rows))
            full = self._file is not None and self._file.rows >= _FILE_ROWS
            if full or ending or time.monotonic() >= open_until:
                self._guarded(self._convert)
                open_until = time.monotonic() + _FILE_SECONDS

    def _next(self, seconds: float) -> list[_Captured | None]:
        """Return what is queued, waiting up to `seconds` for the first; None is the end."""
        batch: list[_Captured | None] = []
        try:
            batch.append(self._queue.get(timeout=seconds))
            while batch[-1] is not None and len(batch) < _WRITE_REQUESTS:
                batch.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return batch

    def _guarded(self, step: Any) -> None:
        """Do one step; whatever fails in it is logged once, until a step succeeds again."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a failing capture must never end, and never fail a request
            if not self._failing:
                _logger.warning("rows are not captured: %s: %s", type(error).__name__, error)
            self._failing = True

    def _dropped(self, rows: int, reason: str) -> None:
        metrics.CAPTURE_DROPPED.inc(rows)
        if not self._failing:
            _logger.warning("rows are not captured: %s", reason)
        self._failing = True

    def _write(self, batch: list[_Captured]) -> None:
        rows = sum(captured.request.rows for captured in batch)
        with self._lock:
            self._waiting -= rows
        try:
            if self._file is None:
                self._file = _PendingFile(self._folder, self._header)
            self._file.append(b"".join(_lines(captured) for captured in batch), rows)
        except Exception:
            metrics.CAPTURE_DROPPED.inc(rows)
            raise
        metrics.CAPTURED_ROWS.inc(rows)
        self._failing = False

    def _convert(self) -> None:
        """Turn the pending files of this process into Parquet; one that cannot be is tried again later."""
        if self._file is not None:
            self._unconverted.append(self._file)
            self._file = None
        while self._unconverted:
            path = self._unconverted[0].path
            convert(path)
            self._unconverted.pop(0).remove()
            self._ship(path)

    def _recover(self, path: Path) -> None:
        """Convert a pending file if its process is no more."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            # its own process has converted and removed it in between
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            convert(path)
            path.unlink(missing_ok=True)
            self._ship(path)
        except (BlockingIOError, FileNotFoundError):
            return
        finally:
            os.close(descriptor)

    def _ship(self, pending: Path) -> None:
        """Let what became of a pending file be copied, if there is where."""
        if self._shipping is not None:
            for path in files_of(pending):
                self._shipping.offer(path)


class _PendingFile:
    """An open, locked pending file."""

    def __init__(self, folder: Path, header: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
        self.path = folder / f"pending-{stem}.jsonl"
        self.rows = 0
        self._bytes = 0
        # under another name until it is locked: a process that starts now would take it for a dead one's
        opening = folder / f".{stem}.opening"
        self._descriptor = os.open(opening, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self.append(header, 0)
            opening.replace(self.path)
        except OSError:
            opening.unlink(missing_ok=True)
            self.remove()
            raise

    def append(self, data: bytes, rows: int) -> None:
        """Write `data`, all of it or nothing: on a full disk the file is cut back to what it was."""
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            os.ftruncate(self._descriptor, self._bytes)
            os.lseek(self._descriptor, self._bytes, os.SEEK_SET)
            raise
        self._bytes += len(data)
        self.rows += rows

    def remove(self) -> None:
        """Delete the file, and give up its lock."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _lines(captured: _Captured) -> bytes:
    names = list(captured.request.columns)
    head = {"request_id": captured.request_id, "time": captured.time, "mirrored": captured.mirrored}
    rows = zip(zip(*captured.request.columns.values(), strict=True), captured.predictions, strict=True)
    return b"".join(
        orjson.dumps(
            head | {"inputs": dict(zip(names, values, strict=True)), "prediction": prediction},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for values, prediction in rows
    )

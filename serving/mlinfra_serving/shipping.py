"""Captured files go to an object store, where who runs gates and measures drift can read them without the volume.

    <url>/<release>/date=YYYY-MM-DD/<stem>.parquet      what is in the capture folder, under the same names

A thread of its own copies them: neither an answer nor a captured row waits for the store. What cannot be copied is
tried again every 10 seconds, and once more at the next start, of whatever release: a file that is there already is
copied once more, and says the same. Where nobody reads the folder, files are moved.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_AGAIN_SECONDS = 10.0
CLOSE_SECONDS = 10.0
"""How long the end waits for the store."""
_DAYS = 2
"""The days of which a start looks for files that were not copied."""
_MOST_FILES = 10_000
"""Files that wait for the store: a day of them; the others stay in the folder."""
_logger = logging.getLogger("mlinfra.serving.capture")


class Shipping:
    """Copies the files that `offer` is given. `start` and `close` are called once each."""

    def __init__(self, folder: Path, url: str, *, moves: bool = False) -> None:
        self._folder = folder
        self._moves = moves
        self._url = url.rstrip("/")
        self._queue: queue.Queue[Path | None] = queue.Queue(_MOST_FILES)
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)
        self._ending = threading.Event()
        self._store: tuple[Any, str] | None = None
        self._failing = False

    def start(self) -> None:
        """Start the thread; it looks first for what was left."""
        self._thread.start()

    def offer(self, path: Path) -> None:
        """Let a file of the capture folder be copied. Never waits, never raises."""
        try:
            self._queue.put_nowait(path)
        except queue.Full:
            self._warn(f"{_MOST_FILES} files wait already; {path.name} stays in the folder")

    def close(self) -> None:
        """Copy what waits, and end; what the store does not take in time is copied at the next start."""
        self._ending.set()
        with contextlib.suppress(queue.Full):  # then the store takes nothing, and the thread ends by itself
            self._queue.put_nowait(None)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        for left in self._left():
            self.offer(left)
        while (path := self._queue.get()) is not None:
            while not self._copied(path):
                if self._ending.wait(_AGAIN_SECONDS):
                    return

    def _left(self) -> list[Path]:
        """Return the newest files of the folder that the store does not have."""
        today = datetime.now(UTC).date()
        days = [f"date={today - timedelta(days=before)}" for before in range(_DAYS)]
        found: list[Path] = []
        known: set[str] = set()
        try:
            found += [path for day in days for path in sorted(self._folder.glob(f"*/{day}/*.parquet"))]
            for folder in {path.parent.relative_to(self._folder).as_posix() for path in found}:
                known |= self._names(folder)
        except Exception as error:  # noqa: BLE001 - every storage library has errors of its own
            self._warn(f"{type(error).__name__}: {error}")
        return [path for path in found if path.relative_to(self._folder).as_posix() not in known]

    def _names(self, folder: str) -> set[str]:
        files, root = self._connected()
        try:
            return {f"{folder}/{Path(name).name}" for name in files.ls(f"{root}/{folder}", detail=False)}
        except FileNotFoundError:
            return set()

    def _copied(self, path: Path) -> bool:
        try:
            content = path.read_bytes()
        except OSError as error:
            self._warn(f"{path}: {error}")
            return True  # it is removed or damaged: no second try makes it whole
        try:
            files, root = self._connected()
            files.pipe_file(f"{root}/{path.relative_to(self._folder).as_posix()}", content)
        except Exception as error:  # noqa: BLE001 - as above, and serving goes on whatever it is
            self._warn(f"{type(error).__name__}: {error}")
            return False
        self._failing = False
        if self._moves:
            path.unlink(missing_ok=True)
        return True

    def _connected(self) -> tuple[Any, str]:
        if self._store is None:
            import fsspec  # type: ignore[import-untyped]

            options = {"auto_mkdir": True} if self._url.startswith("file:") else {}
            files, root = fsspec.core.url_to_fs(self._url, **options)
            self._store = (files, root)
        return self._store

    def _warn(self, reason: str) -> None:
        """Say once that the store takes nothing, until it does again."""
        if not self._failing:
            _logger.warning("captured files are not copied to %s: %s", self._url, reason)
        self._failing = True

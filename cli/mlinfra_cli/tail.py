"""The last lines of several log files, and what is written to them from then on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mlinfra_cli import render
from mlinfra_cli.results import write_text

PAUSE_SECONDS = 0.5


class Tail:
    """Files by the key of their part; a file that is rotated or appears later is followed too."""

    def __init__(self, files: Mapping[str, Callable[[], Sequence[Path]]], lines: int) -> None:
        self._files = files
        self._lines = lines
        self._read: dict[Path, tuple[int, int]] = {}
        self._shown: Path | None = None

    def show(self) -> bool:
        """Show the last lines of every file; return whether there were any."""
        any_line = False
        for key, path in self._all():
            with path.open("rb") as file:
                last = deque(file, maxlen=self._lines)
                self._read[path] = (path.stat().st_ino, file.tell())
            if last:
                any_line = True
                self._write(key, path, b"".join(last))
        return any_line

    def follow(self) -> None:
        """Show what is written, until the process is interrupted."""
        while True:
            for key, path in self._all():
                self._write_new(key, path)
            time.sleep(PAUSE_SECONDS)

    def _all(self) -> list[tuple[str, Path]]:
        return [(key, path) for key, paths in self._files.items() for path in paths() if path.is_file()]

    def _write_new(self, key: str, path: Path) -> None:
        found = path.stat()
        inode, read = self._read.get(path, (found.st_ino, 0))
        if found.st_ino != inode or found.st_size < read:
            read = 0
        with path.open("rb") as file:
            file.seek(read)
            new = file.read()
        self._read[path] = (found.st_ino, read + len(new))
        if new:
            self._write(key, path, new)

    def _write(self, key: str, path: Path, content: bytes) -> None:
        if self._shown != path:
            render.show(render.text((f"==> {key}: {path.name} <==", "name")))
            self._shown = path
        text = content.decode("utf-8", errors="replace")
        write_text(text if text.endswith("\n") else f"{text}\n")

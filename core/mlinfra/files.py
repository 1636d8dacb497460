"""Files written so that a reader, or the next run after a kill, finds the old content or the new, never half."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from mlinfra.problems import MlinfraError


class Damaged(MlinfraError):
    """A file that was written whole, and is not any more: by hand, or by the disk."""


def write_atomically(path: Path, content: bytes | str, *, durable: bool = False, private: bool = True) -> None:
    """Write `content` (text as UTF-8) to `path` under a temporary name, then rename it; folders are created.

    `durable` waits until the content is on the disk, so that it outlives a power cut as well as a kill.
    The file is readable by this user alone, unless `private` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if not private:
            Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Write `value` as JSON that people can read, atomically."""
    write_atomically(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode(), durable=durable)


def read_json(path: Path) -> Any:
    """Return the JSON value in `path`, or None where there is no such file.

    Raises:
        Damaged: it holds something else.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Damaged(
            f"{path.absolute()} is damaged: {error}", remedy="bring it back from a copy, or remove it"
        ) from error


def read_kept(path: Path) -> Any:
    """Return the JSON value in `path`, or None where there is none that can be read: it can be made again."""
    try:
        return read_json(path)
    except Damaged:
        return None


def last_lines(path: Path, count: int, *, limit_bytes: int = 16_384) -> list[str]:
    """Return the last `count` lines of a text file, looking at its last `limit_bytes` only; [] without a file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - limit_bytes))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []

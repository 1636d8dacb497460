"""A disk without room: a clear message, nothing half done, what serves goes on; with room, the same command works."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.repository import Ended, Repository, until

pytestmark = [pytest.mark.engine, pytest.mark.local]


@dataclass(frozen=True)
class Disk:
    """A small file system of its own in the place of a folder."""

    folder: Path

    def fill(self, *, leaving: int = 0) -> None:
        """Take all the room but `leaving` bytes, and what others write meanwhile."""
        with (self.folder / "filler").open("wb") as file:

            def filled() -> bool:
                file.truncate(0)
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.folder).free - leaving)
                    return True
                return False

            until(filled, "a full disk")

    def empty(self) -> None:
        """Give it back."""
        (self.folder / "filler").unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Disk]:
    """Mount a disk on the folder for as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size},mode=0700"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _no_room(ended: Ended) -> None:
    assert ended.code == 1, ended.seen
    message = ended.stderr[ended.stderr.index("error: ") :]
    assert "o space left on device" in message or "disk is full" in message, ended.seen
    assert "→ make room on the disk" in message, ended.seen


def _nothing_registered(repository: Repository, before: str) -> None:
    assert repository.status()["wanted"] == before
    assert all(repository.answers() for _ in range(20))


@pytest.mark.parametrize("size", [pytest.param("4k", marks=pytest.mark.long), "24k"])
def test_no_room_for_a_run(well: Repository, size: str) -> None:
    """Too little for the copy of the code; enough for it, and too little for the model."""
    before, slope = well.status()["wanted"], well.slope
    well.another_model()
    with small_disk(well.layout.runs, size):
        _no_room(well.run("train", "dev", script_raises=True))
        _nothing_registered(well, before)
        assert not list(well.layout.runs.glob("tiny/*/*/record.json"))
    trained = well.run("train", "dev")
    assert trained.code == 0, trained.seen
    assert "trained in" in trained.stdout
    well.earlier_model(slope)
    well.assert_well()


def test_no_room_for_a_model(well: Repository) -> None:
    """The run is kept, its model cannot be stored: no release names it, and no part of it stays in the store."""
    before, slope = well.status()["wanted"], well.slope
    well.another_model()
    trees = well.root / ".mlinfra" / "artifacts" / "trees"
    with small_disk(trees, "8k"):
        _no_room(well.run("train", "dev"))
        _nothing_registered(well, before)
        assert [path for path in trees.rglob("*") if path.is_file()] == []
    stored = well.run("train", "dev")
    assert stored.code == 0, stored.seen
    assert "adopted" in stored.stdout
    assert "made release" in stored.stdout
    well.earlier_model(slope)
    well.assert_well()


def test_no_room_for_captured_requests(well: Repository) -> None:
    """An endpoint goes on answering, and captures again when there is room."""
    capture = well.layout.capture("tiny")
    with small_disk(capture, "64k") as disk:
        disk.fill()
        assert all(well.answers() for _ in range(50))
        well.assert_well()
        disk.empty()
        assert well.answers()
        until(lambda: well.answers() and any(path.stat().st_size for path in capture.rglob("*.*")), "captured again")
    well.assert_well()


@pytest.mark.long
@pytest.mark.parametrize("leaving", [0, 4_096, 40_000, 200_000])
def test_no_room_for_anything(new: Repository, leaving: int) -> None:
    """The engine itself, which tries for half a minute to write its state."""
    with small_disk(new.root / ".mlinfra", "64m") as disk:
        try:
            disk.fill(leaving=leaving)
            _no_room(new.run("up", "dev", script_raises=True))
            disk.empty()
            new.up()
            new.assert_well()
            new.another_model()
            disk.fill(leaving=leaving)
            _no_room(new.run("up", "dev", script_raises=True))
            assert all(new.answers() for _ in range(20))
            disk.empty()
            new.up()
            new.assert_well()
        finally:
            disk.empty()
            new.remove()

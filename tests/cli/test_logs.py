"""mlinfra logs: the last lines, and what is written after them, through rotations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mlinfra_cli.tail import Tail

Run = Callable[..., Result]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    one.write_text("".join(f"line {number}\n" for number in range(1, 6)))
    return one, two


def test_the_last_lines_of_each_file(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    one, two = files
    two.write_bytes(b"\xff unfinished")
    assert Tail({"a.one": lambda: [one], "b.two": lambda: [two]}, 2).show()
    assert capsys.readouterr().out == (
        "==> a.one: one.log <==\nline 4\nline 5\n==> b.two: two.log <==\n\ufffd unfinished\n"
    )


def test_nothing_was_written(tmp_path: Path) -> None:
    assert not Tail({"a.one": lambda: [tmp_path / "none"]}, 2).show()


def test_following(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = files

    def write_more() -> None:
        with one.open("a") as file:
            file.write("line 6\n")

    def begin_another() -> None:
        two.write_text("hello\n")

    def rotate() -> None:
        one.rename(one.with_suffix(".1"))
        one.write_text("a new file that is longer than the old one was at its end\n")

    def truncate() -> None:
        one.write_text("short\n")

    turns = [write_more, begin_another, rotate, truncate]

    def sleep(_: float) -> None:
        if not turns:
            raise KeyboardInterrupt
        turns.pop(0)()

    monkeypatch.setattr("mlinfra_cli.tail.time.sleep", sleep)
    tail = Tail({"a": lambda: [one], "b": lambda: [two]}, 1)
    tail.show()
    with pytest.raises(KeyboardInterrupt):
        tail.follow()
    assert capsys.readouterr().out == (
        "==> a: one.log <==\nline 5\nline 6\n"
        "==> b: two.log <==\nhello\n"
        "==> a: one.log <==\na new file that is longer than the old one was at its end\nshort\n"
    )


def test_an_unknown_part_is_named_with_the_nearest(repository: Path, run: Run) -> None:
    result = run("logs", "dev", "endpoints.diabetis")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: dev has no part 'endpoints.diabetis' (did you mean 'endpoints.diabetes'?); there are: "
        "training_jobs.diabetes, model_registries.diabetes, endpoints.diabetes, drift_monitors.diabetes\n"
    )


def test_before_the_first_up(repository: Path, run: Run) -> None:
    result = run("logs", "dev")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing was written yet\n")

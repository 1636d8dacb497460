"""The picture of the README is what a terminal showed."""

from __future__ import annotations

import io
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.live import Live
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "demo.svg"


CAPTURE = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "capture.py")))


def screen(text: str, columns: int = 20) -> list[str]:
    made = CAPTURE.Screen(columns)
    made.write(text)
    return [Text.from_ansi(line).plain for line in made.lines()]


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("one\r\ntwo\r\n", ["one", "two", ""]),
        ("12345\rab\r\n", ["ab345", ""]),
        ("gone\r\x1b[2Kkept", ["kept"]),
        ("one\r\ntwo\x1b[1A\r\x1b[2KONE", ["ONE", "two"]),
        ("one\r\ntwo\x1b[1A\x1b[J\r!", ["!ne"]),
        ("a" * 22, ["a" * 20, "aa"]),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\ \x1b[?25l", ["link"]),
        ("x\x1b[5Gy", ["x   y"]),
    ],
)
def test_control_sequences(written: str, seen: list[str]) -> None:
    assert screen(written) == seen


def test_a_line_that_moved_and_went_away_is_not_seen() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=40, height=10, _environ={})
    with Live("working", console=console, transient=True, auto_refresh=False) as live:
        live.update("still working", refresh=True)
        console.print("done", style="green")
    lines = screen(stream.getvalue().replace("\n", "\r\n"), 40)
    assert [line for line in lines if line] == ["done"]


def test_colours_stay() -> None:
    made = CAPTURE.Screen(20)
    made.write("\x1b[1mbold\x1b[0m \x1b[32mgreen\x1b[0m")
    assert made.lines() == ["\x1b[0m\x1b[1mbold\x1b[0m \x1b[0m\x1b[32mgreen\x1b[0m"]


def test_the_command_sees_a_terminal() -> None:
    code = "import os, sys; print(sys.stdin.isatty(), sys.stdout.isatty(), os.get_terminal_size().columns, 'ä')"
    assert CAPTURE.recorded([sys.executable, "-c", code]) == "True True 100 ä\r\n"


def test_there_is_no_picture_of_a_failure() -> None:
    with pytest.raises(SystemExit, match="ended with 3"):
        CAPTURE.recorded([sys.executable, "-c", "raise SystemExit(3)"])


def test_what_is_left_out_is_counted() -> None:
    table = ["what must hold", *(f"  ✓  precondition{number}" for number in range(4)), "committed: 0123", "more"]
    assert [CAPTURE._plain(line) for line in CAPTURE.shortened(table)] == [table[0], "  … 4 lines …", *table[-2:]]
    assert CAPTURE.shortened(["a", "b"]) == ["a", "b"]
    long = [str(number) for number in range(100)]
    cut = [CAPTURE._plain(line) for line in CAPTURE.shortened(long, 10)]
    assert cut == ["0", "1", "2", "3", "4", "  … 90 lines …", "95", "96", "97", "98", "99"]


def test_a_picture_tells_nothing_of_this_machine() -> None:
    CAPTURE.refuse_traces(["created  Server .mlinfra/demo"])
    with pytest.raises(SystemExit, match="tells of this machine"):
        CAPTURE.refuse_traces([f"\x1b[1mkept in {ROOT}/.mlinfra\x1b[0m"])


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    for svg in (CAPTURE.picture("make demo", ["\x1b[32mok\x1b[0m"]), PICTURE.read_text(encoding="utf-8")):
        assert not re.findall(r"(?:href|src)=|url\((?!#)|@import", svg)
        assert ">$&#160;make&#160;demo<" in svg
    assert PICTURE.stat().st_size < CAPTURE.BYTES

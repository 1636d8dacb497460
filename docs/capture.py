"""`make capture`: runs a command in a real terminal of 100 columns, and writes what was seen there to docs/demo.svg.

    python docs/capture.py [--output FILE] [COMMAND …]

The command sees a terminal (a pseudo-terminal of the kernel); its output is shown as it comes, and recorded. The
picture holds what stands on the screen at the end, so a line that moved is not in it. Some lines are left out, and
the picture says how many.
"""

from __future__ import annotations

import argparse
import fcntl
import getpass
import io
import os
import pty
import re
import shlex
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, ROWS = 100, 50
LINES = 105
"""About how many lines the picture holds at most."""
BYTES = 150_000
LEFT_OUT = (
    (r"^reading declarations", r" is up: "),
    (r"^ask flight-delay", r"^$"),
    (r"^what must hold", r"^committed: "),
    (r"^committed: ", r"^  merged "),
    (r"^previewing and applying", r"^endpoint +from"),
)
"""From behind a line that is like the first pattern, up to one that is like the second."""

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.|(.)", re.DOTALL)


class Screen:
    """What a terminal shows after it was written to: as much of ECMA-48 as progress displays use.

    `lines` grows without limit, as if the screen were as high as its output is long.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._cells: list[list[tuple[str, str]]] = [[]]
        self._row = self._column = 0
        self._style = ""

    def write(self, text: str) -> None:
        """Do what the text says."""
        for token in _TOKEN.finditer(text):
            parameters, command, character = token.groups()
            if command:
                self._control(parameters, command)
            elif character == "\r":
                self._column = 0
            elif character == "\n":
                self._move(self._row + 1)
            elif character == "\b":
                self._column = max(0, self._column - 1)
            elif character and character.isprintable():
                self._put(character)

    def lines(self) -> list[str]:
        """Return each line with the escape sequences of its styles, without blanks at its end."""
        return [_styled(cells) for cells in self._cells]

    def _control(self, parameters: str, command: str) -> None:
        number = int(parameters) if parameters.isdigit() else None
        cells = self._cells[self._row]
        if command == "m":
            self._style = "" if parameters in ("", "0") else f"{self._style}\x1b[{parameters}m"
        elif command == "A":
            self._move(max(0, self._row - (number or 1)))
        elif command == "B":
            self._move(self._row + (number or 1))
        elif command == "G":
            self._column = (number or 1) - 1
        elif command == "K":
            del cells[0 if number == 2 else self._column :]
        elif command == "J":
            del cells[self._column :]
            del self._cells[self._row + 1 :]

    def _move(self, row: int) -> None:
        self._row = row
        while len(self._cells) <= row:
            self._cells.append([])

    def _put(self, character: str) -> None:
        if self._column == self._columns:
            self._move(self._row + 1)
            self._column = 0
        cells = self._cells[self._row]
        cells.extend([(" ", "")] * (self._column + 1 - len(cells)))
        cells[self._column] = (character, self._style)
        self._column += 1


def _styled(cells: Sequence[tuple[str, str]]) -> str:
    line, last = "", ""
    while cells and cells[-1][0] == " ":
        cells = cells[:-1]
    for character, style in cells:
        if style != last:
            line += f"\x1b[0m{style}"
            last = style
        line += character
    return f"{line}\x1b[0m" if last else line


def recorded(command: Sequence[str]) -> str:
    """Run a command in a terminal of its own and return all that it wrote; it is shown meanwhile.

    Raises:
        SystemExit: it did not end well.
    """
    inside, outside = pty.openpty()
    fcntl.ioctl(outside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    unwanted = ("CI", "NO_COLOR", "COLUMNS", "LINES", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=outside, stdout=outside, stderr=outside, start_new_session=True,
        env={**environment, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(outside)
    seen = b"".join(_read(inside))
    os.close(inside)
    if code := process.wait():
        raise SystemExit(f"{shlex.join(command)} ended with {code}: there is no picture")
    return seen.decode()


def _read(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # nobody holds the other side any more
            return
        if not piece:
            return
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        yield piece


def shortened(lines: Sequence[str], limit: int = LINES) -> list[str]:
    """Return the lines without what LEFT_OUT names, and if they are still more than `limit`, without the middle."""
    shown: list[str] = []
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        shown.append(line)
        for after, until in LEFT_OUT:
            if re.search(after, _plain(line)):
                end = next((at for at, other in enumerate(rest) if re.search(until, _plain(other))), 0)
                shown += _left_out(rest[:end])
                del rest[:end]
    half = limit // 2
    if len(shown) > limit:
        shown = [*shown[:half], *_left_out(shown[half : half - limit]), *shown[half - limit :]]
    return shown


def _left_out(lines: Sequence[str]) -> list[str]:
    return [f"\x1b[2m  … {len(lines)} lines …\x1b[0m"] if len(lines) > 1 else list(lines)


def _plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def refuse_traces(lines: Sequence[str]) -> None:
    """Refuse a picture that tells where and by whom it was made.

    Raises:
        SystemExit: naming the line.
    """
    traces = {str(ROOT), str(Path.home()), socket.gethostname(), f"{getpass.getuser()}@"}
    for line in map(_plain, lines):
        if found := [trace for trace in traces if trace in line]:
            raise SystemExit(f"this line tells of this machine ({', '.join(found)}): {line}")


def picture(command: str, lines: Sequence[str]) -> str:
    """Return an SVG of a terminal; it loads nothing from elsewhere."""
    console = Console(
        record=True,
        width=COLUMNS,
        height=ROWS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
    )
    console.print(Text(f"$ {command}", style="bold"))
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    svg = console.export_svg(title=command, theme=MONOKAI, unique_id="capture")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main() -> None:
    """Record, shorten, draw, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "demo.svg")
    parser.add_argument("command", nargs="*", default=["make", "demo"])
    arguments = parser.parse_args()
    screen = Screen(COLUMNS)
    screen.write(recorded(arguments.command))
    lines = screen.lines()
    while lines and not _plain(lines[-1]).strip():
        lines.pop()
    refuse_traces(lines)
    shown = shortened(lines)
    svg = picture(shlex.join(arguments.command), shown)
    if len(svg.encode()) > BYTES:
        raise SystemExit(f"the picture has {len(svg.encode()):,} bytes, more than {BYTES:,}")
    arguments.output.write_text(svg, encoding="utf-8")
    print(f"{arguments.output.name}: {len(shown) + 1} of {len(lines) + 1} lines, {len(svg.encode()):,} bytes")


if __name__ == "__main__":
    main()

"""How things look; the only file that imports rich. Results go to stdout, everything else to stderr.

On a terminal there are colours and one line that moves. Everywhere else (a pipe, `CI`, `NO_COLOR`, `TERM=dumb`)
there are plain lines without control characters, and long ones are left long.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mlinfra_cli.results import stdout

UNBROKEN = 10_000
"""The width of what is no terminal: lines there are read by programs, or wrapped by whatever shows them."""

STYLES = {
    "good": "green",
    "bad": "red",
    "danger": "bold red",
    "attention": "yellow",
    "quiet": "dim",
    "name": "bold",
    "new": "green",
    "changed": "yellow",
    "gone": "red",
}

Cell = str | tuple[str, str]
"""A text, or a text and the name of its style."""


def is_plain(stream: TextIO) -> bool:
    """Return whether a stream must get plain lines."""
    asked = os.environ.get("CI") or os.environ.get("NO_COLOR") or os.environ.get("TERM", "") in ("", "dumb", "unknown")
    return not stream.isatty() or bool(asked)


def results() -> Console:
    """Return the console of stdout."""
    return _console(stdout())


def notices() -> Console:
    """Return the console of stderr."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    plain = is_plain(stream)
    return Console(
        file=stream,
        force_terminal=not plain,
        no_color=plain,
        width=None if stream.isatty() else UNBROKEN,
        highlight=False,
        markup=False,
        emoji=False,
    )


def text(*pieces: Cell, indent: int = 0) -> Text:
    """Return a line made of pieces."""
    line = Text(" " * indent)
    for piece in pieces:
        words, style = (piece, "") if isinstance(piece, str) else piece
        line.append(words, STYLES.get(style, style))
    return line


def show(*things: RenderableType, console: Console | None = None) -> None:
    """Show lines and tables, on stdout unless told otherwise; plain ones without blanks at the end of a line."""
    console = console or results()
    if console.is_terminal:
        for thing in things:
            console.print(thing, soft_wrap=isinstance(thing, Text))
        return
    with console.capture() as captured:
        for thing in things:
            console.print(thing, soft_wrap=isinstance(thing, Text))
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    console.file.flush()


def note(*pieces: Cell, indent: int = 0) -> None:
    """Show a line on stderr."""
    show(text(*pieces, indent=indent), console=notices())


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Sequence[str] = (), indent: int = 0) -> Any:
    """Return a table without lines; columns in `right` are numbers."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=any(columns))
    for number, column in enumerate(columns):
        first = number == 0
        made.add_column(column, justify="right" if column in right else "left", no_wrap=first, overflow="fold")
    for row in rows:
        made.add_row(*(text(cell) for cell in row))
    return Padding(made, (0, 0, 0, indent)) if indent else made


def group(*things: RenderableType) -> Group:
    """Return several things as one."""
    return Group(*things)


def error(message: str, remedy: str = "") -> None:
    """Show what is wrong and the way out."""
    first, *rest = message.splitlines() or [""]
    lines = [text(("error: ", "danger"), first)]
    lines += [_problem(line) for line in rest]
    lines += [text(("→ ", "attention"), line, indent=2) for line in remedy.splitlines()[:1]]
    lines += [text(line, indent=4) for line in remedy.splitlines()[1:]]
    show(*lines, console=notices())


def _problem(line: str) -> Text:
    if line.strip().startswith("→"):
        return text(("  → ", "attention"), line.strip().removeprefix("→ "))
    return text(line)


def interrupted(line: str) -> None:
    """Say that a command was interrupted, and what goes on from here; nothing for a command that only reads."""
    note(("interrupted", "attention"), f"; `{line}` goes on from here" if line else "")


def defect(kind: str, message: str, file: Path) -> None:
    """Say that the fault is mlinfra's own."""
    first = message.splitlines()[0] if message else "without a message"
    note(("this is a defect in mlinfra: ", "danger"), f"{kind}: {first}")
    note(("→ ", "attention"), f"the details for a report are in {file}", indent=2)


def seconds(value: float) -> str:
    """Return a duration as people read it: 0.4 s, 12 s, 3 min 5 s."""
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def dollars(amount: Decimal) -> str:
    """Return an amount to the cent: $1,234.50."""
    return f"-${-amount:,.2f}" if amount < 0 else f"${amount:,.2f}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: 1 resource, 3 resources."""
    return f"{count} {one if count == 1 else many or one + 's'}"


class Moving:
    """One line on stderr that is drawn again and again while something lasts; nothing where there is no terminal."""

    def __init__(self, now: Callable[[], str]) -> None:
        """`now` returns what the line says at this moment."""
        self._now = now
        self._frame = 0
        console = notices()
        self.plain = not console.is_terminal
        self._console = console
        self._live = Live(self, console=console, transient=True, refresh_per_second=8) if not self.plain else None

    def __rich__(self) -> Text:
        self._frame += 1
        line = text(("-\\|/"[self._frame // 2 % 4] + " ", "quiet"), self._now())
        line.no_wrap, line.overflow = True, "ellipsis"
        return line

    def start(self) -> None:
        """Begin to draw."""
        if self._live:
            self._live.start()

    def stop(self) -> None:
        """Take the line away."""
        if self._live:
            self._live.stop()

    def above(self, *pieces: Cell, indent: int = 0) -> None:
        """Show a line that stays, above the moving one."""
        show(text(*pieces, indent=indent), console=self._console)

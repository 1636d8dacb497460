"""Where there are colours and control characters, and where there must be none."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlinfra.engine_events import Step
from mlinfra_cli import render
from mlinfra_cli.commands import app
from mlinfra_cli.progress import LiveProgress
from mlinfra_cli.results import results_apart, write_json

PLAIN = {"CI": "true", "NO_COLOR": "1", "TERM": "dumb"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stdout and stderr one terminal of 80 columns; pytest sets its own between a fixture and the test."""
    stream = Terminal()
    for name in PLAIN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def step(operation: str, name: str, *, done: bool, failed: bool = False, planned: bool = False) -> Step:
    urn = f"urn:pulumi:dev::mlinfra::mlinfra:part:endpoints$mlinfra:local:Server::{name}"
    return Step(operation, "mlinfra:local:Server", name, urn, done, failed, planned)


def work(progress: LiveProgress) -> None:
    progress.phase("reading declarations")
    progress.phase("previewing and applying")
    progress.step(step("create", "one", done=False, planned=True))
    progress.step(step("create", "one", done=True, planned=True))
    progress.step(step("create", "one", done=False))
    progress.note("a note\nof two lines")
    progress.step(step("same", "two", done=True))
    progress.step(step("create", "one", done=True))
    progress.step(step("update", "three", done=False))
    progress.step(step("update", "three", done=True, failed=True))


def test_a_terminal_gets_colours(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    app(["plan", "dev"], standalone_mode=False)
    assert "\x1b[32m+\x1b[0m" in terminal.getvalue()


@pytest.mark.parametrize("name", list(PLAIN))
def test_whoever_asks_for_plain_lines_gets_them(repository: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv(name, PLAIN[name])
    app(["plan", "dev"], standalone_mode=False)
    with LiveProgress() as progress:
        work(progress)
    assert "\n+  endpoint " in terminal.getvalue()
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f]", terminal.getvalue()) is None


def test_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveProgress() as progress:
        work(progress)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.sub(r"\d+\.\d s", "0 s", shown.err) == (
        "reading declarations\n"
        "  done in 0 s\n"
        "previewing and applying\n"
        "  a note\n"
        "  of two lines\n"
        "  created  Server one  0 s\n"
        "  failed   Server three  0 s\n"
        "  done in 0 s\n"
    )
    assert {urn.rsplit("::", 1)[1] for urn in progress.touched} == {"one", "three"}
    assert {urn.rsplit("::", 1)[1] for urn in progress.same} == {"two"}


def test_what_is_being_done_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with LiveProgress() as progress:
        progress.phase("previewing and applying")
        progress.step(step("create", "flight-delay-3f9c2ab1d07e", done=False))
        progress.step(step("update", "another", done=False))
        line = progress._now()
    assert re.fullmatch(
        r"previewing and applying \d\.\d s: creating Server flight-delay-3f9c2ab1d07e \d\.\d s and 1 more", line
    )
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).splitlines()
    assert max(len(line) for line in lines) <= 80


def test_a_failure_says_after_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with LiveProgress() as progress:
            progress.phase("training")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert re.fullmatch(r"training\n  stopped after \d\.\d s\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.99, "10.0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s")],
)
def test_seconds(value: float, shown: str) -> None:
    assert render.seconds(value) == shown


def test_long_lines_stay_long_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    render.show(render.table(("a", "b"), [("x" * 100, "y" * 100)]))
    assert capsys.readouterr().out.splitlines()[1] == "x" * 100 + "  " + "y" * 100


def test_stdout_is_for_results_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with results_apart():
        print("from somewhere else")  # noqa: T201
        write_json({"version": 1})
        render.show(render.text("a line"))
    assert capfd.readouterr() == ('{\n  "version": 1\n}\na line\n', "from somewhere else\n")


def test_what_is_written_for_programs_does_not_wait_for_what_draws(repository: Path) -> None:
    code = (
        "import sys; sys.argv = ['mlinfra', 'plan', 'dev', '--json']\n"
        "from mlinfra_cli.app import main\n"
        "try: main()\n"
        "finally: sys.stderr.write(' '.join(m for m in ('rich',) if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["problems"] == []
    assert done.stderr == ""

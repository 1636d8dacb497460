"""Help, version, wrong use; and what is imported for it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import Result

from mlinfra_cli.commands import _MODULES

Run = Callable[..., Result]
HEAVY = ("mlinfra", "pydantic", "pulumi", "rich", "numpy", "httpx", "click")


def test_the_commands_that_are_documented_are_there() -> None:
    assert list(_MODULES) == [
        "init", "bootstrap", "plan", "check", "cost", "up", "train", "promote", "status", "tick", "rollback", "hold",
        "resume", "verify", "history", "releases", "show", "sign", "diff", "evidence", "predict", "drift", "logs",
        "down", "doctor", "targets", "rules", "ci", "env", "schema",
    ]  # fmt: skip


@pytest.mark.parametrize("name", list(_MODULES))
def test_every_command_has_examples_that_name_real_options(name: str, run: Run) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    examples = _MODULES[name].EXAMPLES
    assert examples
    for line, what in examples:
        assert line in result.stdout
        assert what in result.stdout
        assert f"mlinfra {name}" in line
        own = line[line.index(f"mlinfra {name}") :].split(" | ")[0].split(" && ")[0]
        for option in re.findall(r"(?<=\s)--[a-z-]+", own):
            assert re.search(rf"{option}\b", result.stdout.split("Examples:")[0]), option
    assert max(len(line) for line in result.stdout.splitlines()) <= 100


def test_help_holds_every_command_in_a_line_and_the_exit_codes(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in _MODULES:
        assert re.search(rf"^  {name} +[A-Z].*\.$", result.stdout, re.MULTILINE), name
    assert "..." not in result.stdout.split("Commands:")[1].split("Exit codes:")[0]
    for code in (0, 1, 2, 3, 4, 130):
        assert re.search(rf"^    {code} +\w", result.stdout, re.MULTILINE), code


def test_version(run: Run) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert re.fullmatch(r"mlinfra \d+\.\d+\.\d+\S*\n", result.stdout)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['mlinfra', '--help']\n"
        "from mlinfra_cli.app import main\n"
        "try: main()\n"
        f"finally: sys.stderr.write(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Commands:" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["statsu"], "No such command 'statsu'. Did you mean 'status'"),
        (["plan"], "Missing argument 'ENV'"),
        (["plan", "dev", "--jsn"], "No such option: --jsn"),
        (["logs", "dev", "--lines", "many"], "Invalid value for '--lines'"),
    ],
)
def test_wrong_use_exits_2(run: Run, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_completion_is_printed_for_a_shell() -> None:
    # which shell it is, is asked of the processes above
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m mlinfra_cli --show-completion; exit $?"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "_MLINFRA_COMPLETE" in done.stdout

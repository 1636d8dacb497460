"""mlinfra down: data is destroyed only after somebody has said so."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mlinfra.engine_events import Outcome
from mlinfra.operations.down import Removed
from mlinfra.problems import WrongUse
from mlinfra_cli.commands import down

Run = Callable[..., Result]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def asked(repository: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Collects `destroy_data` of every call of the operation, which removes nothing here."""
    calls: list[bool] = []

    def operation(*_: object, destroy_data: bool) -> Removed:
        calls.append(destroy_data)
        kept = ["training runs: /data/runs", f"drift reports: {repository}/.mlinfra/dev/monitors"]
        return Removed(Outcome(), [] if destroy_data else kept)

    monkeypatch.setattr("mlinfra.operations.down.down", operation)
    return calls


def test_what_is_kept_is_said(repository: Path, run: Run, asked: list[bool]) -> None:
    result = run("down", "dev")
    assert (result.exit_code, asked) == (0, [False])
    assert result.stdout == (
        "dev is down: 0 resources removed\n"
        "kept:\n  training runs: /data/runs\n  drift reports: .mlinfra/dev/monitors\n"
        "mlinfra down dev --destroy-data removes that too\n"
    )


def test_without_a_terminal_data_needs_yes(repository: Path, run: Run, asked: list[bool]) -> None:
    result = run("down", "dev", "--destroy-data", given="dev\n")
    assert (result.exit_code, result.stdout, asked) == (2, "", [])
    assert result.stderr == (
        "error: destroying data is confirmed by a person, and there is no terminal here\n"
        "  → mlinfra down dev --destroy-data --yes\n"
    )
    assert run("down", "dev", "--destroy-data", "--yes").stdout == "dev is down: 0 resources removed\n"
    assert asked == [True]


def test_the_name_must_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("dev\n"))
    down._confirm("dev")
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    with pytest.raises(WrongUse, match="'yes' is not 'dev'; nothing was changed"):
        down._confirm("dev")


def test_an_unknown_environment_is_not_asked_about(repository: Path, run: Run, asked: list[bool]) -> None:
    assert run("down", "dve", "--destroy-data", "--yes").exit_code == 2
    assert asked == []

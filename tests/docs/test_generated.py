"""What is derived from the code is what the code says; `make docs` writes it again."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


GENERATE = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "generate.py")))


def _marked(name: str) -> object:
    """Return a document, with the slowest where every field of every target is tried: minutes."""
    slow = "targets" in name or name.endswith("support.json")
    return pytest.param(name, marks=pytest.mark.long) if slow else name


@pytest.mark.parametrize("name", [_marked(name) for name in GENERATE.DOCUMENTS])
def test_generated_documents_are_not_stale(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == GENERATE.DOCUMENTS[name](), "stale: make docs"


def test_the_reference_holds_every_command_and_no_long_line() -> None:
    from mlinfra_cli.commands import _MODULES

    text = GENERATE.commands()
    for name in _MODULES:
        assert f"\n## mlinfra {name}\n" in text
    assert "Exit codes:" in text
    assert max(len(line) for line in text.splitlines()) <= GENERATE.WIDTH

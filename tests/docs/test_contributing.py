"""What CONTRIBUTING.md names is there."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)


def spans() -> set[str]:
    """Return what stands between backticks in running text."""
    return set(re.findall(r"`([^`\n]+)`", PROSE))


def test_every_path_is_there() -> None:
    paths = {span for span in spans() if re.fullmatch(r"\.?[\w./]+/[\w./]*|\w+\.(md|toml)", span)}
    assert len(paths) > 20
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", sorted(span for span in spans() if re.fullmatch(r"test_\w+(\[.*\])?", span)))
def test_every_test_that_reminds_is_there(name: str) -> None:
    found = f"def {name.partition('[')[0]}("
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "core" / "mlinfra" / "testing").glob("*.py")]
    assert any(found in file.read_text(encoding="utf-8") for file in files)


def test_every_folder_of_tests_has_its_layer() -> None:
    layers = {Path(path).name for path in re.findall(r"`tests/(\w+)`", TEXT.split("### House rules")[0])}
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert folders <= layers


def test_every_target_of_the_makefile_that_is_named_is_there() -> None:
    targets = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", TEXT))
    rules = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert targets
    assert targets <= rules


def test_the_code_is_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        ast.parse(textwrap.dedent(block))

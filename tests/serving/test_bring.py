"""The init step of pods: a tree is brought whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlinfra.digests import digest_tree
from mlinfra_serving.bring import main


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree as the artifact store keeps it."""
    folder = tmp_path / "trees" / "one"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "model.bin").write_bytes(b"model")
    return folder


def test_a_tree_with_its_digest_is_brought(tree: Path, tmp_path: Path) -> None:
    digest, to = digest_tree(tree), tmp_path / "to"
    to.mkdir()
    assert main(["--from", tree.as_uri(), "--digest", digest, "--to", str(to)]) == 0
    assert digest_tree(to) == digest


def test_another_tree_is_refused_and_nothing_is_copied(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest, to = digest_tree(tree), tmp_path / "to"
    (tree / "inner" / "model.bin").write_bytes(b"another")
    assert main(["--from", tree.as_uri(), "--digest", digest, "--to", str(to)]) == 1
    assert f"wanted is {digest}" in capsys.readouterr().err
    assert not to.exists()


def test_what_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = (tmp_path / "missing").as_uri()
    assert main(["--from", missing, "--digest", "sha256:0", "--to", str(tmp_path / "to")]) == 1
    assert "no such folder" in capsys.readouterr().err

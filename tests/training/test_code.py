"""What names a run: whatever changes the model, and nothing else."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from mlinfra.problems import MlinfraError
from mlinfra.training.code import _owners, code_digest, libraries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("import sklearn.linear_model\nfrom . import hypothesis\n")
    (tmp_path / "stack.py").write_text("replicas = 1\n")
    return tmp_path


def test_code_counts_and_bytecode_does_not(folder: Path) -> None:
    before = code_digest(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"\0")
    (folder / ".notes").write_text("hidden")
    assert code_digest(folder) == before
    (folder / "train.py").write_text("import sklearn\n")
    assert code_digest(folder) != before


@pytest.mark.parametrize(
    "line", ["import stack", "from stack import replicas", "from . import stack", "import a.stack"]
)
def test_the_declaration_counts_only_where_it_is_imported(folder: Path, line: str) -> None:
    before = code_digest(folder)
    (folder / "stack.py").write_text("replicas = 2\n")
    assert code_digest(folder) == before
    (folder / "helper.py").write_text(line)
    importing = code_digest(folder)
    (folder / "stack.py").write_text("replicas = 3\n")
    assert code_digest(folder) != importing


def test_libraries_are_those_that_are_imported(folder: Path) -> None:
    found = libraries(folder)
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert found["scikit-learn"]
    assert found["pandas"]
    # `from . import hypothesis` is the folder's own module, not the library.
    assert "hypothesis" not in found
    assert "mlinfra-toolkit" not in found
    (folder / "helper.py").write_text("import hypothesis.strategies")
    assert "hypothesis" in libraries(folder)


def test_a_library_is_found_by_any_module_that_it_brings() -> None:
    known = metadata.packages_distributions()
    for module in ("sklearn", "pandas", "yaml", "ruamel", "google", "pulumi", "six", "typing_extensions", "hypothesis"):
        assert _owners({module}) == set(known[module]), module
    assert _owners({"no_such_module"}) == set()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MlinfraError, match="nowhere"):
        code_digest(tmp_path / "nowhere")

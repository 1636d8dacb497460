"""What a training run is made of besides its data: the digest of its code, and the libraries that it imports.

A run is named by code, data, parameters and these versions, so whatever changes a model changes the name, and
nothing else should: the declaration (`stack.py`) counts only if other code of the folder imports it, because a
changed replica count must not train again.
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from mlinfra.digests import digest_json, digest_tree
from mlinfra.problems import MlinfraError

DECLARATION = "stack.py"
_BASE_LIBRARIES = ("joblib", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "xgboost")


def code_digest(folder: Path) -> str:
    """Return the digest of a code folder, without bytecode, hidden files and (if nothing imports it) `stack.py`.

    Raises:
        MlinfraError: the folder is missing or empty, or holds a symbolic link.
    """
    try:
        return digest_tree(folder, exclude=_left_out(folder))
    except (FileNotFoundError, ValueError) as error:
        raise MlinfraError(str(error), remedy="a stack's folder holds its code: real files, not links") from None


def copy_code(folder: Path, to: Path) -> Path:
    """Copy what the digest of a code folder counts, and nothing else: the tree `to` has that digest."""
    left_out = set(_left_out(folder))
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and relative.as_posix() not in left_out:
            (to / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to / relative)
    return to


def libraries(folder: Path) -> Mapping[str, str]:
    """Return the versions that a run of this folder's code depends on: Python's, and each library's.

    Libraries are those that every run uses and those that the code imports, by distribution name. The patch
    release of Python does not count.
    """
    names = _owners({name.partition(".")[0] for name in _imported(folder)} - sys.stdlib_module_names)
    names |= {name for name in _BASE_LIBRARIES if _version(name)}
    # The toolkit starts the run; an upgrade of it must not train again what has not changed.
    names -= {"mlinfra-toolkit"}
    versions = {name.lower(): _version(name) for name in sorted(names)}
    return {"python": f"{sys.version_info.major}.{sys.version_info.minor}"} | versions


def libraries_digest(folder: Path) -> str:
    """Return the digest of `libraries(folder)`."""
    return digest_json(dict(libraries(folder)))


def _owners(modules: set[str]) -> set[str]:
    """Return the names of the distributions that bring modules of these names.

    As `metadata.packages_distributions` says, which parses the metadata of all that are installed: a tenth of a second.
    """
    return {found.name for found in metadata.distributions() if modules & _brought_by(found)}


def _brought_by(distribution: metadata.Distribution) -> set[str]:
    if named := (distribution.read_text("top_level.txt") or "").split():
        return set(named)
    files = [line.partition(",")[0] for line in (distribution.read_text("RECORD") or "").splitlines()]
    return {file.partition("/")[0].removesuffix(".py") for file in files if file.endswith(".py")}


def _left_out(folder: Path) -> list[str]:
    left_out = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if any(_is_left_out(piece) for piece in path.relative_to(folder).parts)
    ]
    pieces = {piece for name in _imported(folder, but=DECLARATION) for piece in name.split(".")}
    if (folder / DECLARATION).is_file() and Path(DECLARATION).stem not in pieces:
        left_out.append(DECLARATION)
    return left_out


def _is_left_out(piece: str) -> bool:
    return piece == "__pycache__" or piece.startswith(".")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _imported(folder: Path, *, but: str = "") -> set[str]:
    """Return the dotted names that the folder's Python files import; `from a import b` gives `a.b`."""
    found: set[str] = set()
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder)
        if relative.as_posix() == but or any(_is_left_out(piece) for piece in relative.parts):
            continue
        try:
            tree = ast.parse(path.read_bytes(), filename=str(path))
        except (SyntaxError, ValueError):
            continue  # the interpreter says it better when it runs the file
        found |= set(_names(tree))
    return found


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import starts with a dot, so that it is never taken for a library of that name.
            start = "." * node.level + (node.module or "")
            yield from (f"{start}.{alias.name}" for alias in node.names)
